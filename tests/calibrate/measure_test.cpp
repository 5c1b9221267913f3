#include "calibrate/measure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.hpp"
#include "calibrate/analytic.hpp"
#include "calibrate/step_costs.hpp"
#include "calibrate/stopwatch.hpp"
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
                           operation_costs(profile).sgd_update(double(model.parameters()));
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
  EXPECT_THAT([&] { (void)costs.top_k(1e6, 1e3, TopKModel::torch_legacy); },
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
