// The memory of a GPU: what a run says of it, and of published figures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "experiments/run.hpp"
#include "experiments/validate.hpp"
#include "models/activation_memory.hpp"
#include "models/zoo.hpp"
#include "small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

JobOutcome outcome(const Json& json) {
  return run_alone(read_experiment(json, "test.json")).job;
}

MemoryUse memory(const Json& json) {
  return outcome(json).memory.front();
}

constexpr double kParameters = 25'557'032;  // ResNet-50

TEST(Memory, OfAPlainRunIsTheSumOfItsParts) {
  const MemoryUse use = memory(small());
  EXPECT_EQ(use.weights_bytes, 4 * kParameters);
  EXPECT_EQ(use.gradients_bytes, 4 * kParameters);
  EXPECT_EQ(use.optimizer_bytes, 4 * kParameters);
  EXPECT_EQ(use.activations_bytes, 32 * activation_memory(make_model("resnet50"), {}).peak);
  EXPECT_EQ(use.schedule_bytes, 0);
  EXPECT_GT(*use.framework_bytes, 0);
}

TEST(Memory, AdamKeepsTwoNumbersAndMovesTwoMore) {
  Json json = small();
  const JobOutcome momentum = outcome(json);
  json["optimizer"] = "adam";
  const JobOutcome adam = outcome(json);
  EXPECT_EQ(adam.memory.front().optimizer_bytes, 8 * kParameters);
  json["optimizer"] = "sgd";
  const JobOutcome sgd = outcome(json);
  EXPECT_EQ(sgd.memory.front().optimizer_bytes, 0);
  EXPECT_NEAR(adam.time.update_s - momentum.time.update_s,
              momentum.time.update_s - sgd.time.update_s, 1e-12);
  EXPECT_GT(adam.time.update_s, momentum.time.update_s);
}

TEST(Memory, OfFsdpFallsAsOneOverNButForWhatIsWhole) {
  Json json = small();
  json["schedule"] = {{"name", "fsdp"}, {"unit", "4MiB"}};
  json["precision"] = "amp-fp16";
  json["optimizer"] = "adam";
  json["gpus"] = "0-1";
  const MemoryUse two = memory(json);
  json["gpus"] = "0-15";
  const MemoryUse sixteen = memory(json);
  for (const auto share :
       {&MemoryUse::weights_bytes, &MemoryUse::gradients_bytes, &MemoryUse::optimizer_bytes})
    EXPECT_NEAR(two.*share, 8 * (sixteen.*share), 1);
  EXPECT_NEAR(sixteen.weights_bytes + sixteen.gradients_bytes + sixteen.optimizer_bytes,
              16 * kParameters / 16, 1)
      << "fp32 weights, gradients and Adam's two";
  EXPECT_EQ(two.schedule_bytes, sixteen.schedule_bytes);
  EXPECT_EQ(two.activations_bytes, sixteen.activations_bytes);
  // Two units in 16 bits, gathered one ahead, and a gradient: at least three times 4 MiB of fp32, and less than the model.
  EXPECT_GE(sixteen.schedule_bytes, 3 * (4 << 20) / 2);
  EXPECT_LT(sixteen.schedule_bytes, 2 * kParameters);
  json["schedule"]["reshard_after_forward"] = false;
  EXPECT_GT(memory(json).schedule_bytes, 2 * kParameters)
      << "the model is whole, and a unit's gradient";
}

TEST(Memory, StacksSayWhatTheirFrameworkKeeps) {
  Json json = small();
  json["set"] = {"stack.memory_context=335MiB", "stack.memory_weight_copy=true",
                 "stack.memory_relu_inputs=true"};
  const MemoryUse use = memory(json);
  EXPECT_EQ(*use.framework_bytes, 335.0 * (1 << 20) + 4 * kParameters);
  EXPECT_EQ(use.activations_bytes,
            32 * activation_memory(make_model("resnet50"), {.relu_inputs = true}).peak);
}

TEST(Recompute, RunsTheForwardPassOfBlocksAgain) {
  Json json = small();
  const JobOutcome kept = outcome(json);
  json["recompute"] = "full";
  const JobOutcome again = outcome(json);
  EXPECT_LT(again.memory.front().activations_bytes, 0.6 * kept.memory.front().activations_bytes);
  EXPECT_EQ(again.time.forward_s, kept.time.forward_s);
  const double more = again.time.backward_s - kept.time.backward_s;
  EXPECT_GT(more, 0.8 * kept.time.forward_s) << "all but the stem, its pool and the last layer";
  EXPECT_LT(more, kept.time.forward_s);
}

TEST(Recompute, IsPartOfAStepThatWasMeasured) {
  Json json = small();
  json["gpus"] = "0";
  json["profile"] = "200ms";
  json["recompute"] = "full";
  EXPECT_NEAR(outcome(json).iteration_time_s, 0.2, 1e-12);
}

TEST(Recompute, NeedsBlocks) {
  Json json = small();
  json["model"] = "vgg16";
  json["recompute"] = "full";
  try {
    (void)outcome(json);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("recompute: model 'vgg16' has no blocks"));
  }
}

TEST(Memory, PublishedRowsOfItAreInBytes) {
  const Json set = Json::parse(R"({
    "format": "paceline-published-1", "title": "t", "source": "s", "licence": "l", "hardware": "h", "software": "w",
    "measures": "memory", "experiment": {"model": "resnet50", "batch": 32, "cluster": "16x1-1080ti-10gbe"},
    "series": [{"name": "a", "rows": [{"gpus": 1, "measured": "4GiB"},
                                      {"gpus": 1, "name": "without", "measured": "4GiB", "measures": "allocated"}]}]})");
  const ReplayedSet replayed = replay({read_published(set, "tiny", "tiny.json")}, {}).front();
  const MemoryUse use = memory(small());
  EXPECT_EQ(replayed.rows[0].row.measured_s, 4.0 * (1 << 30));
  EXPECT_EQ(replayed.rows[0].predicted_s, use.total_bytes());
  EXPECT_EQ(replayed.rows[1].predicted_s, use.total_bytes() - *use.framework_bytes);
  EXPECT_EQ(replayed.scaling().rows, 0U);
}

}  // namespace
}  // namespace paceline
