#include "calibrate/profile/step_costs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/costs_by_tensor.hpp"

namespace paceline {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

// A random DAG of dense, batch-norm, ReLU, add and dropout operations on vectors of one width.
Model random_model(unsigned seed) {
  std::mt19937 random(seed);
  GraphBuilder builder("random");
  std::vector<std::size_t> all{builder.input("x", {8, 1, 1})};
  const auto pick = [&] {
    return all[std::uniform_int_distribution<std::size_t>(all.size() > 4 ? all.size() - 4 : 0,
                                                          all.size() - 1)(random)];
  };
  const std::size_t count = 3 + random() % 30;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "op" + std::to_string(i);
    switch (random() % 5) {
      case 0:
        all.push_back(builder.conv2d(name, pick(), {.channels = 8, .bias = random() % 2 == 0}));
        break;
      case 1:
        all.push_back(builder.batch_norm(name, pick()));
        break;
      case 2:
        all.push_back(builder.relu(name, pick()));
        break;
      case 3:
        all.push_back(builder.add(name, {pick(), pick()}));
        break;
      default:
        all.push_back(builder.dropout(name, pick()));
        break;
    }
  }
  // In a model with a loss every operation leads to it.
  std::set<std::size_t> loose(all.begin(), all.end());
  for (const std::size_t i : all)
    for (const std::size_t input : builder.operation(i).inputs) loose.erase(input);
  std::size_t last = all.back();
  if (loose.size() > 1) last = builder.add("ends", {loose.begin(), loose.end()});
  const std::size_t head = builder.conv2d("head", last, {.channels = 10});
  builder.softmax_loss("loss",
                       builder.dense("classes", builder.flatten("flat", head), {.features = 10}));
  return builder.build();
}

std::vector<double> random_times(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> times(count);
  for (double& time : times) time = std::uniform_real_distribution<double>(0.1, 1)(random);
  return times;
}

class FoldOnRandomModels : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Seeds, FoldOnRandomModels, testing::Range(0u, 25u));

// Independent of costs_by_tensor(): straight from the graph, which operations run before what.
TEST_P(FoldOnRandomModels, ForwardSumsAreThoseOfTheGraph) {
  const Model model = random_model(GetParam());
  const std::size_t count = model.operations().size();
  const std::vector<double> forward = random_times(count, GetParam() + 100);
  const CostsByTensor costs = costs_by_tensor(model, forward, forward);
  double cumulative = 0;
  for (std::size_t t = 0; t < costs.tensors.size(); ++t) {
    cumulative += costs.tensors[t].forward_s;
    const std::size_t owner = model.tensors()[t].operations.front();
    const bool last_of_owner =
        t + 1 == costs.tensors.size() || model.tensors()[t + 1].operations.front() != owner;
    if (!last_of_owner) continue;
    const std::size_t next =
        t + 1 == costs.tensors.size() ? count : model.tensors()[t + 1].operations.front();
    const double expected =
        std::accumulate(forward.begin(), forward.begin() + std::ptrdiff_t(next), 0.0);
    EXPECT_NEAR(cumulative, expected, 1e-9) << costs.tensors[t].name;
  }
}

TEST_P(FoldOnRandomModels, BackwardSumsAreThoseOfTheGraph) {
  const Model model = random_model(GetParam());
  const std::size_t count = model.operations().size();
  const std::vector<double> backward = random_times(count, GetParam() + 200);
  const CostsByTensor costs = costs_by_tensor(model, backward, backward);
  ASSERT_EQ(costs.backward_order.size(), model.tensors().size());
  EXPECT_EQ(std::set<std::size_t>(costs.backward_order.begin(), costs.backward_order.end()).size(),
            model.tensors().size());
  double cumulative = 0;
  for (const std::size_t t : costs.backward_order) {
    cumulative += costs.tensors[t].backward_s;
    double expected = 0;  // all operations with a backward pass from the loss down to the tensor's
    for (std::size_t i = model.tensors()[t].operations.front(); i < count; ++i)
      if (model.operations()[i].needs_gradient) expected += backward[i];
    EXPECT_NEAR(cumulative, expected, 1e-9) << costs.tensors[t].name;
  }
}

TEST(Fold, TimeBeforeTheFirstParametersStandsOnTheFirstTensor) {
  GraphBuilder builder("late");
  const std::size_t x = builder.dropout("noise", builder.input("x", {4, 1, 1}));
  builder.conv2d("conv", x, {.channels = 2});
  const Model model = builder.build();
  const CostsByTensor costs = costs_by_tensor(model, {1, 2, 4}, {10, 20, 40});
  ASSERT_EQ(costs.tensors.size(), 2);
  EXPECT_EQ(costs.tensors[0].forward_s + costs.tensors[1].forward_s, 7);
  EXPECT_GE(costs.tensors[0].forward_s, 3);
  EXPECT_EQ(costs.tensors[costs.backward_order[0]].backward_s,
            40);  // nothing before needs a gradient
  EXPECT_EQ(costs.tensors[costs.backward_order[1]].backward_s, 0);
}

TEST(Fold, TiedWeightIsReadyWithItsLastUse) {
  GraphBuilder builder("tied");
  const std::size_t tokens = builder.input("tokens", {5}, 11);
  const std::size_t words =
      builder.add_operation("embed", {tokens}, EmbeddingOp{.entries = 11, .features = 6});
  builder.dense("decode", words, {.features = 11, .bias = true, .tied_to = "embed.weight"});
  const Model model = builder.build();
  ASSERT_EQ(model.tensors().size(), 2);  // embed.weight, decode.bias
  const CostsByTensor costs = costs_by_tensor(model, {0, 1, 2}, {0, 10, 20});
  EXPECT_EQ(costs.backward_order, (std::vector<std::size_t>{1, 0}));
  EXPECT_EQ(costs.tensors[1].backward_s, 20);
  EXPECT_EQ(costs.tensors[0].backward_s, 10);
  EXPECT_EQ(costs.tensors[0].forward_s, 1);
  EXPECT_EQ(costs.tensors[1].forward_s, 2);
}

TEST(Fold, ModelWithoutParametersIsRefused) {
  GraphBuilder builder("none");
  builder.relu("r", builder.input("x", {4, 1, 1}));
  const Model model = builder.build();
  EXPECT_THROW(costs_by_tensor(model, {0, 1}, {0, 1}), InputError);
}

Model small_model() {
  GraphBuilder builder("small");
  const std::size_t conv =
      builder.conv2d("conv", builder.input("x", {3, 8, 8}), {.channels = 4, .kernel = 3});
  const std::size_t pooled = builder.global_avg_pool("pool", builder.relu("relu", conv));
  builder.softmax_loss("loss", builder.dense("fc", pooled, {.features = 10}));
  return builder.build();
}

BatchTimes times_at(const Model& model, std::int64_t batch, double scale) {
  BatchTimes times;
  times.batch = batch;
  for (const std::size_t i : timed_operations(model)) {
    const double s = scale * static_cast<double>(i + 1);
    times.layers.push_back({model.operations()[i].name,
                            {s, 0.9 * s, 1.2 * s},
                            {2 * s, 1.8 * s, 2.4 * s},
                            {3 * s, 2.7 * s, 3.6 * s}});
  }
  return times;
}

Profile small_profile(const Model& model) {
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.uncertainty = 0.02;
  profile.device = "T4";
  profile.model = "small";
  profile.batches = {times_at(model, 8, 1), times_at(model, 16, 3), times_at(model, 32, 5)};
  profile.batches[0].input_pipeline_s = 1;
  profile.batches[1].input_pipeline_s = 2;
  return profile;
}

TEST(StepCosts, RecordedBatchIsTakenAsItIs) {
  const Model model = small_model();
  const StepCosts costs = step_costs(model, small_profile(model), 16);
  // Operations 1 to 5 (conv, relu, pool, fc, loss): 3 * (2+3+4+5+6) forward, five times that
  // backward.
  EXPECT_DOUBLE_EQ(costs.forward_s(), 60);
  EXPECT_DOUBLE_EQ(costs.backward_s(), 300);
  EXPECT_EQ(costs.source, ProfileSource::measured);
  EXPECT_EQ(costs.relative_uncertainty, 0.02);
  EXPECT_EQ(costs.input_pipeline_s, 2);
  EXPECT_DOUBLE_EQ(costs.step_s(), 362);
  EXPECT_NEAR(*costs.p25_over_median, 0.9, 1e-12);
  EXPECT_NEAR(*costs.p75_over_median, 1.2, 1e-12);
}

TEST(StepCosts, BetweenBatchesEachLayerIsInterpolated) {
  const Model model = small_model();
  const Profile profile = small_profile(model);
  const StepCosts low = step_costs(model, profile, 8), high = step_costs(model, profile, 16);
  const StepCosts costs = step_costs(model, profile, 10);
  for (std::size_t t = 0; t < costs.tensors.size(); ++t) {
    EXPECT_DOUBLE_EQ(costs.tensors[t].forward_s,
                     0.75 * low.tensors[t].forward_s + 0.25 * high.tensors[t].forward_s);
    EXPECT_DOUBLE_EQ(costs.tensors[t].backward_s,
                     0.75 * low.tensors[t].backward_s + 0.25 * high.tensors[t].backward_s);
  }
  EXPECT_DOUBLE_EQ(costs.input_pipeline_s, 1.25);
  EXPECT_EQ(costs.source, ProfileSource::interpolated);
  EXPECT_GT(costs.relative_uncertainty, 0.02);
  EXPECT_THAT(costs.description, HasSubstr("interpolated between batch 8 and 16"));
}

TEST(StepCosts, OutsideTheBatchesIsRefused) {
  const Model model = small_model();
  const Profile profile = small_profile(model);
  for (const std::int64_t batch : {1, 7, 33, 1000})
    EXPECT_THAT([&] { step_costs(model, profile, batch); },
                ThrowsMessage<InputError>(AllOf(HasSubstr("outside"), HasSubstr("8, 16, 32"))));
  EXPECT_THROW(step_costs(model, profile, 0), InputError);
}

TEST(StepCosts, RecurrentLayersAreNeverInterpolated) {
  GraphBuilder builder("rnn");
  const std::size_t tokens = builder.input("tokens", {5}, 11);
  const std::size_t words =
      builder.add_operation("embed", {tokens}, EmbeddingOp{.entries = 11, .features = 6});
  builder.add_operation("lstm", {words}, LstmOp{.hidden = 4});
  const Model model = builder.build();
  Profile profile;
  profile.device = "T4";
  profile.model = "rnn";
  profile.batches = {times_at(model, 8, 1), times_at(model, 16, 2)};
  EXPECT_GT(step_costs(model, profile, 16).forward_s(), 0);
  EXPECT_THAT([&] { step_costs(model, profile, 12); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("recurrent"), HasSubstr("8, 16"))));
}

TEST(StepCosts, MismatchNamesTheFirstDifference) {
  const Model model = small_model();
  Profile profile = small_profile(model);
  profile.model = "other";
  EXPECT_THAT([&] { step_costs(model, profile, 8); },
              ThrowsMessage<InputError>(AllOf(HasSubstr("'other'"), HasSubstr("'small'"))));
  profile.model = "Small";
  EXPECT_NO_THROW(step_costs(model, profile, 8));
  profile.batches[0].layers[2].name = "poll";
  EXPECT_THAT(
      [&] { step_costs(model, profile, 8); },
      ThrowsMessage<InputError>(AllOf(HasSubstr("layer 2 is 'poll'"), HasSubstr("'pool'"))));
  profile.batches[0].layers[2].name = "pool";
  profile.batches[0].layers.pop_back();
  EXPECT_THAT([&] { step_costs(model, profile, 8); },
              ThrowsMessage<InputError>(HasSubstr("has 4 layers, expected 5")));
}

TEST(StepCosts, WholeNetworkTimesAreKeptExactly) {
  const Model model = small_model();
  Profile profile = small_profile(model);
  BatchTimes times;
  times.whole_net =
      WholeNetTimes{{}, Timing{0.09, {}, {}}, Timing{0.12, {}, {}}, {}, Spread::analytic};
  profile.batches = {times};
  const StepCosts analytic =
      step_costs(model, profile, 77);  // the batch is not stated: any will do
  EXPECT_DOUBLE_EQ(analytic.forward_s(), 0.09);
  EXPECT_DOUBLE_EQ(analytic.backward_s(), 0.12);
  EXPECT_THAT(analytic.description,
              AllOf(HasSubstr("batch not stated"), HasSubstr("in proportion to analytic times")));

  profile.batches[0].whole_net->spread = Spread::uniform;
  const StepCosts uniform = step_costs(model, profile, 1);
  for (const TensorCost& tensor : uniform.tensors) {
    EXPECT_DOUBLE_EQ(tensor.forward_s, 0.09 / 4);
    EXPECT_DOUBLE_EQ(tensor.backward_s, 0.12 / 4);
  }
  profile.batches[0].whole_net = WholeNetTimes{Timing{0.3, {}, {}}, {}, {}, {}, Spread::analytic};
  EXPECT_DOUBLE_EQ(step_costs(model, profile, 1).step_s(), 0.3);
}

TEST(StepCosts, BackwardPerTensor) {
  const Model model = small_model();
  Profile profile = small_profile(model);
  BatchTimes times;
  times.whole_net =
      WholeNetTimes{{}, Timing{35e-3, {}, {}}, {}, Timing{434e-6, {}, {}}, Spread::uniform};
  profile.batches = {times};
  const StepCosts costs = step_costs(model, profile, 32);
  EXPECT_DOUBLE_EQ(costs.forward_s(), 35e-3);
  EXPECT_DOUBLE_EQ(costs.backward_s(), 4 * 434e-6);
}

TEST(StepCosts, BadClosureIsSaid) {
  const Model model = small_model();
  Profile profile = small_profile(model);
  profile.batches[0].closure_ratio = 0.97;
  EXPECT_THAT(step_costs(model, profile, 8).description, Not(HasSubstr("of the iteration")));
  profile.batches[0].closure_ratio = 0.9;
  EXPECT_THAT(step_costs(model, profile, 8).description, HasSubstr("sum to 0.90 of the iteration"));
}

TEST(StepCosts, HostOverheadCountsBothPasses) {
  const Model model = small_model();
  Profile profile = small_profile(model);
  profile.host_overhead_per_op_s = 1e-3;
  EXPECT_DOUBLE_EQ(step_costs(model, profile, 8).host_overhead_s, 10e-3);
}

}  // namespace
}  // namespace paceline
