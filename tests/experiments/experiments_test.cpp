#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/axes.hpp"
#include "experiments/compare.hpp"
#include "experiments/floors.hpp"
#include "experiments/prepare.hpp"
#include "experiments/run.hpp"
#include "experiments/shipped.hpp"
#include "small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

Json reference(int workers) {
  Json json = load_experiment("reference-wfbp").json;
  json["set"] = {"nodes[0].count=" + std::to_string(workers)};
  return json;
}

std::string refusal(const Json& json) {
  try {
    (void)run_alone(read_experiment(json, "test.json"));
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// Closed form of 161 rings in a row after 35 ms + 434 us: the published figures to their last
// digit.
TEST(Reference, IterationTimes) {
  const std::pair<int, double> rows[] = {
      {16, 419.745045e-3}, {64, 1199.6856e-3}, {256, 4292.6707e-3}, {1024, 16657.917e-3}};
  for (const auto& [workers, expected] : rows) {
    const double elements = 25557032, n = workers;
    const double closed =
        0.035 + 434e-6 + 2 * (n - 1) * (161 * 50e-6 + 4 * elements / (n * 1.25 * 1073741824.0));
    const RunResult result = run_alone(read_experiment(reference(workers), "reference"));
    EXPECT_NEAR(result.job.iteration_time_s, closed, 1e-9 * closed) << workers;
    EXPECT_NEAR(result.job.iteration_time_s, expected, 5e-9 * 10 * expected) << workers;
    EXPECT_EQ(result.fidelity, "closed");
    EXPECT_EQ(result.job.extrapolated_steps, 0);
  }
}

TEST(Result, PartsAddUpToTheIteration) {
  const RunResult result = run_alone(read_experiment(small(), "test.json"));
  EXPECT_NEAR(result.job.time.total_s(), result.job.iteration_time_s,
              1e-9 * result.job.iteration_time_s);
  EXPECT_GT(result.job.uncertainty_s, 0);
}

TEST(Result, SameBytesTwentyTimes) {
  Json json = small();
  json["jitter"] = {{"distribution", "lognormal"}, {"cv", 0.1}};
  const std::string first = to_json(run_experiment(read_experiment(json, "test.json"))).dump();
  for (int i = 1; i < 20; ++i)
    ASSERT_EQ(to_json(run_experiment(read_experiment(json, "test.json"))).dump(), first);
}

TEST(Result, RunsAgainFromItsOwnJson) {
  Json json = small();
  json["set"] = {"network.bandwidth=3Gbps"};
  json["schedule"] = {{"name", "s-sgd"}, {"overlap", "mg-wfbp"}};
  json["seed"] = 7;
  const Json first = to_json(run_experiment(read_experiment(json, "test.json")));
  const Json second =
      to_json(run_experiment(read_experiment(first.at("experiment"), "result.json")));
  EXPECT_EQ(first.dump(2), second.dump(2));
  EXPECT_EQ(to_json(result_from_json(first, "result.json")).dump(), first.dump());
}

TEST(Result, InlineModelTravelsInTheResult) {
  const Json first = to_json(run_alone(read_experiment(reference(4), "reference")));
  const Json second = to_json(run_alone(read_experiment(first.at("experiment"), "result.json")));
  EXPECT_EQ(first.dump(), second.dump());
}

TEST(Result, OneWorkerHasNoCommunication) {
  Json json = small();
  json["gpus"] = "3-3";
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  EXPECT_NEAR(result.job.iteration_time_s, result.job.one_gpu_time_s, 1e-12);
  EXPECT_NEAR(result.job.scaling_efficiency, 1, 1e-9);
  EXPECT_EQ(result.job.sent_bytes, 0);
}

TEST(Result, MemoryWarningNamesTheLargestShare) {
  Json json = small();
  json["batch"] = 512;
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  ASSERT_FALSE(result.warnings.empty());
  EXPECT_THAT(result.warnings.front(), HasSubstr("the largest share: activations"));
}

TEST(Result, FewerStepsThanTheWarmUpAreNamed) {
  Json json = small();
  json["schedule"] = "od-sgd";
  json["cluster"] = "4x4-1080ti-10gbe";
  json["gpus"] = {0, 4};
  json["fidelity"] = "closed";
  json["steps"] = 100;
  const RunResult in_warm_up = run_alone(read_experiment(json, "test.json"));
  ASSERT_FALSE(in_warm_up.warnings.empty());
  EXPECT_THAT(in_warm_up.warnings.front(), HasSubstr("not those of od-sgd"));
  EXPECT_THAT(in_warm_up.warnings.front(), HasSubstr("first 203 steps are a warm-up"));
  EXPECT_THAT(to_json(in_warm_up).at("warnings").dump(), HasSubstr("give it 205 steps or more"));
  json["steps"] = 205;
  for (const std::string& warning : run_alone(read_experiment(json, "test.json")).warnings)
    EXPECT_THAT(warning, testing::Not(HasSubstr("warm-up")));
}

// Closed forms that were asked for are blind to shared links: too short, and said so, but no bug.
TEST(Result, ForcedClosedFormIsWarnedOfAndNotHeldAgainstTheWire) {
  Json json = small();
  json["schedule"] = "ps-s-sgd";
  json["fidelity"] = "closed";
  json["steps"] = 20;
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  EXPECT_GT(result.ignored_conflicts, 0U);
  ASSERT_FALSE(result.warnings.empty());
  EXPECT_THAT(result.warnings.back(), HasSubstr("their times are too short"));
}

// Its one exchange is still on the wire at the end: nothing waits for it.
TEST(Result, OneStepOfAPipelineIsNotHeldAgainstTheWire) {
  Json json = small();
  json["cluster"] = "16x1-1080ti-1gbe";
  json["schedule"] = "pipe-sgd";
  json["steps"] = 1;
  EXPECT_EQ(refusal(json), "accepted");
}

// At the first measured border the slowest worker is ahead of another one.
TEST(Result, WorkBeforeTheLastWorkersBorderIsNotHeldAgainstTheTime) {
  Json json = small();
  json["model"] = "lenet5";
  json["batch"] = 8;
  json["jitter"] = {{"distribution", "lognormal"}, {"cv", 0.1}};
  json["schedule"] = {{"name", "cocod-sgd"}, {"period", 20}};
  json["steps"] = 1000;
  EXPECT_EQ(refusal(json), "accepted");
}

// Extrapolated in mid-step, some workers ahead: accounts are of whole steps of each.
TEST(Result, WorkersThatAreAheadCountWholeSteps) {
  Json json = small();
  json["model"] = "lenet-caffe";
  json["gpus"] = "0-7";
  json["servers"] = 8;
  json["steps"] = 40;
  json["schedule"] = {{"name", "od-sgd"}, {"warm_up", 5}};
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  EXPECT_GT(result.job.extrapolated_steps, 0);
  const double compute = result.job.time.compute_s() + result.job.time.update_s;
  ASSERT_EQ(result.job.floors.front().name, "compute");
  EXPECT_NEAR(result.job.floors.front().iteration_s, compute, 1e-9 * compute);
}

// Both directions of the ring cross the one line between the sites, which they share.
TEST(Result, PlatformFileGivesItsLinksTimes) {
  Json json = small();
  json["cluster"] = std::string(PACELINE_SOURCE_DIR) + "/platforms/examples/two-sites.json";
  json["schedule"] = {{"name", "s-sgd"}, {"overlap", "none"}};
  json["fidelity"] = "step";
  json["steps"] = 2;
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  const double chunk = 4.0 * 25557032 / 8;
  // The line never rests in either direction; its latency counts where a chunk leaves it last.
  const double expected = result.job.one_gpu_time_s + 14 * chunk / (125e6 / 2) + 5.04e-3;
  EXPECT_NEAR(result.job.iteration_time_s, expected, 1e-6 * expected);
  const Json again = result.experiment;
  EXPECT_EQ(write_experiment(read_experiment(again, "result.json")).dump(), again.dump());
}

// Its bytes need less time than the bandwidth in the cluster's file would allow.
TEST(Result, AFasterLinkIsNotHeldAgainstTheTime) {
  Json json = small();
  json["cluster"] = Json::parse(R"({"format": "paceline-cluster-1", "name": "sped up",
      "nodes": [{"count": 4, "gpus": 1, "gpu": "GTX 1080 Ti", "pcie": "inf"}],
      "network": {"bandwidth": "1Gbps", "latency": "10us"},
      "link_events": [{"links": "*", "at": "0s", "factor": 2}]})");
  json["schedule"] = {{"name", "s-sgd"}, {"overlap", "none"}};
  json["steps"] = 5;
  const RunResult result = run_alone(read_experiment(json, "test.json"));
  ASSERT_FALSE(result.links.empty());
  EXPECT_EQ(result.links.front().bandwidth, 2 * 125e6);
  EXPECT_LE(result.links.front().utilisation, 1);
  ASSERT_EQ(result.job.floors.back().name, "wire");
  EXPECT_LT(result.job.floors.back().iteration_s, result.job.iteration_time_s);
}

TEST(Bounds, SelectionCostsWhatTheRunsTopKCosts) {
  const auto s_max = [](const char* top_k) {
    Json json = small();
    json["schedule"] = "lags-sgd";
    json["top_k"] = top_k;
    const Prepared prepared = prepare(read_experiment(json, "test.json"));
    for (const EvaluatedBound& bound :
         paper_bounds(prepared.jobs.front(), *prepared.simulation.cluster))
      if (bound.name == "S_max, t_c = sparsification") return bound.speedup.value();
    return 0.0;
  };
  EXPECT_LT(s_max("radix_select"), 1.1);
  EXPECT_GT(s_max("torch_legacy"), 1.5);
}

// N S / (servers B) with B the server's network port, also where the first worker sits beside it.
TEST(Bounds, TheServerPortIsThatOfTheNetwork) {
  const std::pair<const char*, const char*> bounds[] = {{"asgd", "own pull or server port"},
                                                        {"dc-asgd", "own pull or server port"},
                                                        {"ps-s-sgd", "server port"},
                                                        {"od-sgd", "hidden exchange"}};
  for (const auto& [schedule, name] : bounds) {
    Json json = small();
    json["schedule"] = schedule;
    json["servers"] = 1;
    const Prepared prepared = prepare(read_experiment(json, "test.json"));
    const Cluster& cluster = *prepared.simulation.cluster;
    const LinkId port = cluster.links_matching("switch-node0").at(0);
    const double expected = 16 * 4 * 25557032.0 / cluster.links()[port].bandwidth;
    const std::vector<EvaluatedBound> evaluated = paper_bounds(prepared.jobs.front(), cluster);
    ASSERT_EQ(evaluated.front().name, name);
    EXPECT_NEAR(*evaluated.front().iteration_s, expected, 1e-9 * expected) << schedule;
    EXPECT_NEAR(*evaluated.front().iteration_s, 1.4116, 1e-4) << schedule;
  }
}

TEST(Result, NamesTheSchedulesOwnSelectorAndWhatMessageSizesAre) {
  Json json = small();
  json["schedule"] = {{"name", "slgs-sgd"}, {"selector", "torch_legacy"}};
  json["top_k"] = "radix_select";
  json["steps"] = 3;
  RunResult result = run_alone(read_experiment(json, "test.json"));
  EXPECT_EQ(result.job.top_k, "torch_legacy");
  EXPECT_EQ(to_json(result).at("message_sizes"), "fixed");
  for (const char* selector : {"dgc_sample", "gaussian_k"})
    for (const char* schedule : {"slgs-sgd", "gtop-k", "dgc"}) {
      json["schedule"] = {{"name", schedule}, {"selector", selector}};
      result = run_alone(read_experiment(json, "test.json"));
      EXPECT_EQ(result.job.top_k, selector);
      EXPECT_EQ(result.job.message_sizes, "expected") << schedule;
    }
  json["schedule"] = "lags-sgd";
  EXPECT_EQ(run_alone(read_experiment(json, "test.json")).job.top_k, "radix_select");
}

// Whatever `paceline bounds` prints as a floor, `paceline run` is at or above.
TEST(Bounds, NoScheduleRunsBelowItsExpectedFloors) {
  for (const char* cluster : {"16x1-1080ti-1gbe", "4x4-v100-56gbib"})
    for (const ScheduleEntry& entry : schedules()) {
      Json json = small();
      json["model"] = "resnet18-cifar";
      json["cluster"] = cluster;
      json["gpus"] = "0-4";
      json["schedule"] = {{"name", entry.name}};
      if (entry.name == "diloco" || entry.name == "streaming-diloco")
        json["schedule"]["period"] = 10;
      if (entry.name == "od-sgd" || entry.name == "cd-sgd") json["schedule"]["warm_up"] = 5;
      json["steps"] = 30;
      const Experiment experiment = read_experiment(json, "test.json");
      const Prepared prepared = prepare(experiment);
      const std::vector<Floor> floors =
          expected_floors(prepared.jobs.front(), *prepared.simulation.cluster);
      const Json time =
          run_isolated({[&] { return Json(run_alone(experiment).job.iteration_time_s); }}, 1)
              .front();
      for (const Floor& floor : floors)
        EXPECT_GE(time.get<double>(), floor.iteration_s * (1 - 1e-9))
            << entry.name << " on " << cluster << ": " << floor.name;
    }
}

// One GPU's host overhead and update are not of the batch: not dealt out with it.
TEST(Bounds, FloorsOfUnequalGpusHold) {
  for (const char* split : {"equal", "proportional"}) {
    Json json = small();
    json["batch_split"] = split;
    json["cluster"] = {{"format", "paceline-cluster-1"},
                       {"name", "mixed"},
                       {"nodes",
                        {{{"count", 2}, {"gpus", 1}, {"gpu", "GTX 1080 Ti"}, {"pcie", "inf"}},
                         {{"count", 2}, {"gpus", 1}, {"gpu", "V100"}, {"pcie", "inf"}}}},
                       {"network", {{"bandwidth", "100Gbps"}, {"latency", "0us"}}}};
    const Experiment experiment = read_experiment(json, "test.json");
    const Prepared prepared = prepare(experiment);
    const Json time =
        run_isolated({[&] { return Json(run_alone(experiment).job.iteration_time_s); }}, 1).front();
    for (const Floor& floor : expected_floors(prepared.jobs.front(), *prepared.simulation.cluster))
      EXPECT_GE(time.get<double>(), floor.iteration_s * (1 - 1e-9)) << split << ": " << floor.name;
  }
}

// The published formulas charge what the schedule pays: the subtraction, not the optimiser.
TEST(Bounds, SparsifiedSchedulesDoNotBeatTheirOwnFormula) {
  for (const char* name : {"slgs-sgd", "lags-sgd", "gtop-k"})
    for (const char* feedback : {"scaled", "raw"}) {
      Json json = small();
      json["schedule"] = {{"name", name}, {"error_feedback", feedback}};
      json["steps"] = 4;
      const Experiment experiment = read_experiment(json, "test.json");
      const Json result = run_isolated({[&] { return to_json(run_alone(experiment)); }}, 1).front();
      for (const Json& bound : result.at("bounds"))
        EXPECT_FALSE(bound.value("exceeded", false)) << name << ": " << bound;
    }
}

TEST(Bounds, OneAllReduceAfterBackwardIsAReferenceOfWaitFreeBackPropagation) {
  Json json = small();
  json["schedule"] = {{"name", "s-sgd"}, {"overlap", "mg-wfbp"}};
  const Json result = to_json(run_alone(read_experiment(json, "test.json")));
  for (const Json& bound : result.at("bounds"))
    EXPECT_EQ(bound.contains("reference"), bound.at("name") == "no overlap") << bound;
}

TEST(Result, TwoJobsShareTheNetwork) {
  Json json = small();
  json["fidelity"] = "auto";
  json["steps"] = 5;
  json["cluster"] = "4x4-1080ti-10gbe";
  json["jobs"] = {{{"name", "one"}, {"gpus", {0, 4, 8, 12}}},
                  {{"name", "two"}, {"gpus", {1, 5, 9, 13}}}};
  const RunResult both = run_alone(read_experiment(json, "test.json"));
  EXPECT_EQ(both.fidelity, "flow");
  ASSERT_EQ(both.other_jobs.size(), 1U);
  json["jobs"].erase(1);
  const RunResult alone = run_alone(read_experiment(json, "test.json"));
  EXPECT_GT(both.job.iteration_time_s, 1.2 * alone.job.iteration_time_s);
}

// The links carry everybody's bytes: they are no floor of one job.
TEST(Result, OneJobOfSeveralHasNoFloorOfTheWire) {
  Json json = small();
  json["steps"] = 5;
  json["cluster"] = "4x4-1080ti-10gbe";
  json["jobs"] = {{{"name", "one"}, {"gpus", {0, 4, 8, 12}}},
                  {{"name", "two"}, {"gpus", {1, 5, 9, 13}}}};
  const RunResult both = run_alone(read_experiment(json, "test.json"));
  for (const JobOutcome* job : {&both.job, &both.other_jobs.front()}) {
    ASSERT_EQ(job->floors.size(), 1U);
    EXPECT_EQ(job->floors.front().name, "compute");
  }
}

TEST(Result, MicroBatchesAreBookedPassByPass) {
  Json json = small();
  const TimeSplit one = run_alone(read_experiment(json, "test.json")).job.time;
  json["accumulation"] = 4;
  const TimeSplit four =
      result_from_json(
          run_isolated({[&] { return to_json(run_alone(read_experiment(json, "test.json"))); }}, 1)
              .front(),
          "result")
          .job.time;
  EXPECT_NEAR(four.forward_s, 4 * one.forward_s, 1e-9);
  EXPECT_NEAR(four.backward_s, 4 * one.backward_s, 1e-9);
}

// PyTorch's bucket_cap_mb counts fp32 gradients: a hook that halves what is sent halves the time
// on the wire, and moves no gradient into another bucket.
TEST(Result, BucketsDoNotDependOnThePrecisionOfTheWire) {
  Json json = small();
  json["cluster"] = "16x1-1080ti-1gbe";
  json["schedule"] = {{"name", "s-sgd"}, {"overlap", "ddp"}};
  const RunResult full = run_alone(read_experiment(json, "test.json"));
  json["precision"] = "fp16";
  const RunResult half = result_from_json(
      run_isolated({[&] { return to_json(run_alone(read_experiment(json, "test.json"))); }}, 1)
          .front(),
      "result");
  EXPECT_EQ(half.job.messages, full.job.messages);
  EXPECT_DOUBLE_EQ(half.job.sent_bytes, full.job.sent_bytes / 2);
}

TEST(Result, ProportionalBatchesRemoveWaiting) {
  Json json = small();
  json["cluster"] = {
      {"format", "paceline-cluster-1"},
      {"name", "mixed"},
      {"nodes",
       {{{"count", 2}, {"gpus", 1}, {"gpu", "GTX 1080 Ti"}, {"pcie", "inf"}},
        {{"count", 2}, {"gpus", 1}, {"gpu", "GTX 1080 Ti"}, {"pcie", "inf"}, {"speed", 0.5}}}},
      {"network", {{"bandwidth", "100Gbps"}, {"latency", "10us"}}}};
  const RunResult equal = run_alone(read_experiment(json, "test.json"));
  json["batch_split"] = "proportional";
  const RunResult split = run_alone(read_experiment(json, "test.json"));
  EXPECT_GT(equal.job.time.waiting_s, 0.1 * equal.job.iteration_time_s);
  EXPECT_LT(split.job.time.waiting_s, 0.01 * split.job.iteration_time_s);
}

TEST(Experiment, Refusals) {
  Json json = small();
  json["bach"] = 1;
  EXPECT_THAT(refusal(json), HasSubstr("did you mean 'batch'"));
  json = small();
  json["schedule"] = {{"name", "s-sgd"}, {"overlp", "none"}};
  EXPECT_THAT(refusal(json), HasSubstr("'overlap'"));
  json = small();
  json["schedule"] = "s-sdg";
  EXPECT_THAT(refusal(json), HasSubstr("did you mean 's-sgd'"));
  json = small();
  json["profile"] = "lags-inception-v4";
  EXPECT_THAT(refusal(json), HasSubstr("the profile is of model"));
  json = small();
  json.erase("batch");
  EXPECT_THAT(refusal(json), HasSubstr("missing key 'batch'"));
  json = small();
  json["gpus"] = "8-16";
  EXPECT_THAT(refusal(json), HasSubstr("there is no GPU 16"));
  json = small();
  json["vary"] = Json::array();
  EXPECT_THAT(refusal(json), HasSubstr("paceline compare"));
}

TEST(Compare, RowsInOrder) {
  Json json = small();
  const std::vector<Axis> axes{axis_from_option("network.bandwidth=1Gbps,10Gbps"),
                               axis_from_option("schedule=s-sgd,s-sgd:overlap=none")};
  const Comparison comparison = compare(json, "test.json", axes, {.parallel = 2});
  ASSERT_EQ(comparison.rows.size(), 4U);
  EXPECT_EQ(comparison.rows[1].labels, (std::vector<std::string>{"1Gbps", "s-sgd:overlap=none"}));
}

TEST(Compare, WrongPointIsNamed) {
  try {
    (void)compare(small(), "test.json", {axis_from_option("schedule=s-sgd,s-sgd:overlap=nnone")},
                  {.parallel = 2});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("overlap=nnone"));
  }
}

TEST(Compare, PointThatCannotBeReadIsNamed) {
  try {
    (void)compare(small(), "test.json",
                  {axis_from_option("batch=32,0"), axis_from_option("schedule=s-sgd,pipe-sgd")});
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("0, s-sgd: "));
  }
}

TEST(Isolated, KeepsOrderAndTypesOfErrors) {
  std::vector<std::function<Json()>> tasks;
  for (int i = 0; i < 7; ++i) tasks.push_back([i] { return Json(i); });
  const std::vector<Json> answers = run_isolated(tasks, 3);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)], i);
  EXPECT_THROW(run_isolated({[]() -> Json { throw InputError("x"); }}, 1), InputError);
  EXPECT_THROW(run_isolated({[]() -> Json { throw CheckFailed("x"); }}, 1), CheckFailed);
  EXPECT_THROW(run_isolated({[]() -> Json { std::abort(); }}, 1), std::runtime_error);
}

TEST(Shipped, EveryExperimentIsReadable) {
  for (const auto& [name, text] : shipped_experiments()) {
    const ExperimentText found = load_experiment(name);
    const std::vector<Axis> axes = read_axes(found.json, name);
    for (const Point& point : points(found.json, axes))
      EXPECT_NO_THROW((void)read_experiment(point.json, name)) << name;
  }
}

}  // namespace
}  // namespace paceline
