#include "calibrate/measure/measure.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/measure/stopwatch.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

MeasureOptions quick() {
  MeasureOptions options;
  options.warm_up_seconds = 0.1;
  options.seconds = 0.3;
  options.least_rounds = 5;
  return options;
}

std::vector<std::int64_t> batches_of(const Profile& profile) {
  std::vector<std::int64_t> batches;
  for (const BatchTimes& times : profile.batches) batches.push_back(*times.batch);
  return batches;
}

TEST(Measure, LenetGivesAProfileThatPredictsItsOwnTraining) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  const Profile profile = measure_profile(model, *backend, {16, 8}, quick());
  EXPECT_EQ(profile.source, ProfileSource::measured);
  EXPECT_EQ(profile.device, cpu_name());
  EXPECT_THAT(batches_of(profile), ElementsAre(8, 16));
  EXPECT_EQ(read_profile(profile_json(profile), "file"), profile);
  for (const std::int64_t batch : {8, 12, 16}) {
    const StepCosts costs = step_costs(model, profile, batch);
    EXPECT_EQ(costs.source, batch == 12 ? ProfileSource::interpolated : ProfileSource::measured);
    EXPECT_GT(costs.forward_s(), 0);
    EXPECT_GT(costs.backward_s(), 0);
  }
  const double predicted = step_costs(model, profile, 16).step_s() +
                           operation_costs(profile).optimizer_update(double(model.parameters()));
  const double measured = time_training_loop(model, *backend, 16, quick()).step.median_s;
  EXPECT_LT(predicted, 2 * measured);
  EXPECT_GT(predicted, measured / 2);
}

TEST(Measure, EveryLayerWithParametersTakesTimeBothWays) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend("reference");
  const Profile profile = measure_profile(model, *backend, {2}, quick());
  const std::vector<std::size_t> timed = timed_operations(model);
  ASSERT_EQ(profile.batches.at(0).layers.size(), timed.size());
  for (std::size_t i = 0; i < timed.size(); ++i) {
    if (model.tensors_of(timed[i]).empty()) continue;
    const LayerTimes& layer = profile.batches[0].layers[i];
    EXPECT_GT(layer.forward.median_s, 0) << layer.name;
    EXPECT_GT(layer.backward_data.median_s, 0) << layer.name;
    EXPECT_LE(*layer.forward.p25_s, layer.forward.median_s) << layer.name;
  }
}

TEST(Measure, GoesOnWithAProfileAndMeasuresOnlyWhatIsMissing) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  const Profile first = measure_profile(model, *backend, {4}, quick());
  MeasureOptions options = quick();
  int measured = 0;
  options.measured = [&](const Profile&) { ++measured; };
  EXPECT_EQ(measure_profile(model, *backend, {4}, options, first), first);
  EXPECT_EQ(measured, 0);
  const Profile second = measure_profile(model, *backend, {2, 4}, options, first);
  EXPECT_EQ(measured, 1);
  EXPECT_THAT(batches_of(second), ElementsAre(2, 4));
  EXPECT_EQ(second.batches[1], first.batches[0]);
  EXPECT_EQ(second.operations, first.operations);
}

TEST(Measure, RefusesToGoOnWithAnotherModelOrDevice) {
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  Profile known = measure_profile(make_model("lenet5"), *backend, {2}, quick());
  EXPECT_THAT([&] { measure_profile(make_model("resnet20"), *backend, {2}, quick(), known); },
              ThrowsMessage<InputError>(HasSubstr("of model 'lenet5', not 'resnet20-cifar'")));
  known.device = "T4";
  EXPECT_THAT([&] { measure_profile(make_model("lenet5"), *backend, {4}, quick(), known); },
              ThrowsMessage<InputError>(HasSubstr("of device 'T4'")));
}

// One batch of "measurements" of lenet5 as this program makes them, without the waiting.
Profile measured_here(const kernels::Backend& backend) {
  const Model model = make_model("lenet5");
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.device = cpu_name();
  profile.model = model.name();
  profile.software["backend"] = backend.description();
  BatchTimes& times = profile.batches.emplace_back();
  times.batch = 2;
  for (const std::size_t i : timed_operations(model))
    times.layers.push_back({model.operations()[i].name, {1e-4, {}, {}}, {1e-4, {}, {}}, {}});
  times.iteration = Timing{2e-3, 1e-3, 3e-3};
  times.closure_ratio = 1;
  return profile;
}

TEST(Measure, RefusesToGoOnWithWhatItCannotHaveMeasured) {
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  const Profile good = measured_here(*backend);
  const auto refusal = [&](const std::function<void(Profile&)>& change) -> std::string {
    Profile known = good;
    change(known);
    MeasureOptions options = quick();
    options.progress = [](const MeasureProgress&) { FAIL() << "it measures"; };
    try {
      measure_profile(make_model("lenet5"), *backend, {4}, options, known);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const auto first = [](Profile& p) -> BatchTimes& { return p.batches[0]; };
  EXPECT_THAT(refusal([&](Profile& p) { first(p).batch.reset(); }), HasSubstr("state its batch"));
  EXPECT_THAT(refusal([&](Profile& p) { first(p).iteration.reset(); }), HasSubstr("'iteration'"));
  EXPECT_THAT(refusal([&](Profile& p) {
                first(p).iteration = Timing{0, 0, 0};
              }),
              HasSubstr("above 0"));
  EXPECT_THAT(refusal([&](Profile& p) {
                first(p).iteration = Timing{1, {}, {}};
              }),
              HasSubstr("quartiles"));
  EXPECT_THAT(refusal([&](Profile& p) { first(p).closure_ratio = 1000; }),
              HasSubstr("closure_ratio"));
  EXPECT_THAT(refusal([&](Profile& p) { first(p).layers.pop_back(); }), HasSubstr("layers"));
  EXPECT_THAT(refusal([&](Profile& p) {
                first(p).layers.clear();
                first(p).whole_net = WholeNetTimes{Timing{1, {}, {}}, {}, {}, {}, Spread::uniform};
              }),
              HasSubstr("whole network"));
  EXPECT_THAT(refusal([](Profile& p) { *p.metadata = "text"; }), HasSubstr("no object"));
  EXPECT_THAT(refusal([](Profile& p) { (*p.metadata)["batches"] = 3; }), HasSubstr("no object"));
  EXPECT_THAT(refusal([](Profile& p) { (*p.metadata)["operations"] = "x"; }),
              HasSubstr("no object"));
  // And the good one is gone on with.
  EXPECT_THAT(batches_of(measure_profile(make_model("lenet5"), *backend, {4}, quick(), good)),
              ElementsAre(2, 4));
}

TEST(Measure, RefusesABatchThatCannotFitBeforeItAllocates) {
  const auto backend = kernels::make_backend("reference");
  for (const std::int64_t batch : {std::int64_t{1'000'000'000'000}, INT64_MAX})
    EXPECT_THAT([&] { measure_profile(make_model("lenet5"), *backend, {batch}, quick()); },
                ThrowsMessage<InputError>(HasSubstr("needs at least")));
  EXPECT_THROW(measure_profile(make_model("lenet5"), *backend, {0}, quick()), InputError);
}

TEST(Measure, TheRecordOfALayerHasItsWorkAndItsTails) {
  const auto backend = kernels::make_backend("reference");
  const Model model = make_model("lenet5");
  const Profile profile = measure_profile(model, *backend, {2}, quick());
  const Json& layers = profile.metadata->at("batches").at("2").at("layers");
  ASSERT_EQ(layers.size(), timed_operations(model).size());
  const Json& conv = layers.at(0);
  EXPECT_EQ(conv.at("name"), "conv1");
  EXPECT_EQ(conv.at("kind"), "conv2d");
  EXPECT_EQ(conv.at("parameters"), 6 * (25 + 1));
  // Two samples of 6 maps of 28 x 28, of 25 products and sums and a bias.
  EXPECT_EQ(conv.at("forward_flops"), 2 * 6 * 28 * 28 * (2 * 25 + 1));
  EXPECT_GT(conv.at("forward_least_bytes"), 2 * 4 * 6 * 28 * 28);
  const Json& forward = conv.at("forward").at(0);
  EXPECT_GE(forward.at("n"), 5);
  EXPECT_LE(forward.at("least"), forward.at("p05"));
  EXPECT_LE(forward.at("p05"), forward.at("p95"));
  EXPECT_TRUE(conv.contains("backward"));
}

TEST(Measure, ProgressSaysNothingOfTheTimeLeftAtFirst) {
  EXPECT_EQ(progress_text({32, 0.01, 7.2e6}), "[                              ] batch 32");
  EXPECT_EQ(progress_text({32, 0.5, 200}),
            "[===============               ] batch 32, about 3 min 20 s left");
  EXPECT_THAT(progress_text({8, 0.9, 4.2}), HasSubstr("about 5 s left"));
  EXPECT_THAT(progress_text({8, 0.1, 7500}), HasSubstr("about 2 h 05 min left"));
}

TEST(Measure, StopsWhenAskedAndKeepsWhatWasMeasured) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  std::atomic<bool> stop{false};
  MeasureOptions options = quick();
  options.stop = &stop;
  options.measured = [&](const Profile&) { stop = true; };
  EXPECT_THAT(batches_of(measure_profile(model, *backend, {2, 4, 8}, options)), ElementsAre(2));
  EXPECT_THAT(batches_of(measure_profile(model, *backend, {2}, options)), ElementsAre());
}

TEST(Measure, RandomBatchesFitTheModelAndRepeat) {
  const Model text = make_lstm_language_model({.hidden = 8, .vocabulary = 11, .time_steps = 5});
  const Batch batch = random_batch(text, 3, 1);
  EXPECT_EQ(batch.inputs.size(), 15);
  EXPECT_EQ(batch.labels.size(), 15);
  EXPECT_THAT(batch.inputs, testing::Each(testing::AllOf(testing::Ge(0), testing::Le(10))));
  EXPECT_EQ(batch.inputs, random_batch(text, 3, 1).inputs);
  EXPECT_NE(batch.inputs, random_batch(text, 3, 2).inputs);
}

TEST(Measure, ACpuHasNoOneBlockSelection) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  const OperationCosts costs = operation_costs(measure_profile(model, *backend, {2}, quick()));
  EXPECT_GT(costs.top_k(1e6, 1e3, costs.default_top_k()),
            costs.top_k(1e4, 10, costs.default_top_k()));
  EXPECT_THAT([&] { (void)costs.top_k(1e6, 1e3, Selector::torch_legacy); },
              ThrowsMessage<InputError>(HasSubstr("no cost of torch_legacy")));
}

TEST(Stopwatch, KeepsTheUndisturbedSamplesIfThereAreEnough) {
  std::vector<Sample> samples(5, {1.0, 0.9, true});
  samples.push_back({50.0, 1.0, false});
  const SampleSummary kept = summarize(samples);
  EXPECT_EQ(kept.timing.median_s, 1.0);
  EXPECT_EQ(kept.kept, 5);
  EXPECT_EQ(kept.dropped, 1);
  EXPECT_FALSE(kept.cpu_time);
  for (Sample& sample : samples) sample.undisturbed = false;
  const SampleSummary cpu = summarize(samples);
  EXPECT_TRUE(cpu.cpu_time);
  EXPECT_EQ(cpu.timing.median_s, 0.9);
  for (Sample& sample : samples) sample.cpu_seconds = 0;
  EXPECT_EQ(summarize(samples).timing.median_s, 1.0);
  EXPECT_EQ(*summarize(samples).timing.p75_s, 1.0);
  EXPECT_THROW(summarize({}), std::invalid_argument);
}

}  // namespace
}  // namespace paceline
