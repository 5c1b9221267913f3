// The pace of workers that wait for nobody does not depend on how many steps they do.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "experiments/experiment.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

// Four workers, the last of which takes three times as long.
Json uneven(const std::string& schedule, std::int64_t steps) {
  Json json = Json::parse(R"({
    "format": "paceline-experiment-1", "name": "uneven", "model": "mlp", "batch": 8,
    "cluster": {"format": "paceline-cluster-1", "name": "uneven",
      "nodes": [{"count": 3, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"},
                {"count": 1, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf", "speed": 0.3}],
      "network": {"bandwidth": "10Gbps", "latency": "43us"}}})");
  json["schedule"] = {{"name", schedule}};
  if (schedule != "ad-psgd") json["servers"] = 1;
  json["steps"] = steps;
  return json;
}

RunResult result(const Json& json) {
  return run_alone(read_experiment(json, "uneven.json"), {.uncertainty = false});
}

TEST(Settled, PaceIsThatOfALongRun) {
  for (const char* schedule : {"asgd", "dc-asgd", "ad-psgd"}) {
    const double many = result(uneven(schedule, 3200)).job.iteration_time_s;
    for (const std::int64_t steps : {1, 20, 100, 800}) {
      const RunResult few = result(uneven(schedule, steps));
      EXPECT_NEAR(few.job.iteration_time_s / many, 1, 0.03) << schedule << ", " << steps;
      EXPECT_NEAR(few.job.time.total_s() / few.job.iteration_time_s, 1, 1e-9) << schedule;
      EXPECT_EQ(few.job.steps, steps);
      if (schedule != std::string("ad-psgd")) {  // its passive workers communicate when asked
        EXPECT_EQ(few.job.rounds, static_cast<double>(steps)) << schedule;
      }
      EXPECT_TRUE(few.warnings.empty()) << schedule << ": " << few.warnings.front();
      for (const LinkUse& link : few.links) EXPECT_LE(link.utilisation, 1 + 1e-9);
    }
  }
}

// The longer run is on time alone: a training does its own steps and no more.
TEST(Settled, ATrainingLearnsWhatItDidAndHasThePaceOfTimeAlone) {
  Json json = uneven("asgd", 12);
  const RunResult times = result(json);
  json["training"] = {{"data", {{"name", "digits"}, {"train", 256}, {"test", 64}}},
                      {"learning_rate", 0.05},
                      {"evaluate_every", 12}};
  const RunResult training = result(json);
  EXPECT_EQ(training.job.iteration_time_s, times.job.iteration_time_s);
  EXPECT_EQ(training.job.total_time_s, times.job.total_time_s);
  EXPECT_EQ(training.job.total_bytes, times.job.total_bytes);
  ASSERT_TRUE(training.job.training);
  EXPECT_EQ(training.job.training->steps.size(), 12U);
  EXPECT_EQ(training.job.training->evaluations.back().step, 12);
}

// All figures of workers that go in step are of the run that was asked for.
TEST(Settled, WorkersThatGoInStepAreNotRunAgain) {
  for (const char* schedule : {"od-sgd", "ps-s-sgd"}) {
    const RunResult run = result(uneven(schedule, 20));
    for (const Assumption& assumption : run.job.assumptions)
      EXPECT_NE(assumption.name, "figures per iteration are of") << schedule;
  }
}

}  // namespace
}  // namespace paceline
