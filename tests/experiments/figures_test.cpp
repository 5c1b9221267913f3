// Figures that a result must not get wrong, leave out, or make up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/axes.hpp"
#include "experiments/baseline.hpp"
#include "experiments/compare.hpp"
#include "experiments/floors.hpp"
#include "experiments/prepare.hpp"
#include "experiments/run.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

Json on(const std::string& cluster, const Json& schedule) {
  return {{"format", "paceline-experiment-1"},
          {"model", "resnet18"},
          {"batch", 8},
          {"cluster", cluster},
          {"schedule", schedule}};
}

JobOutcome outcome(const Json& json) {
  return run_alone(read_experiment(json, "test.json")).job;
}

// ---- the measured part

// The published cases: -39 % and -2 % where a round was cut.
TEST(MeasuredPart, IsWholeRounds) {
  for (const char* schedule : {"cocod-sgd", "local-sgd", "diloco", "overlap-local-sgd"}) {
    Json json = on("16x1-1080ti-1gbe", {{"name", schedule}, {"period", 7}});
    json["gpus"] = "0-3";
    json["steps"] = 700;
    const double whole = outcome(json).iteration_time_s;
    for (const int steps : {27, 28, 100}) {
      json["steps"] = steps;
      EXPECT_NEAR(outcome(json).iteration_time_s, whole, 1e-9 * whole) << schedule << steps;
    }
  }
}

TEST(MeasuredPart, AccountOfHorovodAddsUp) {
  Json json = on("4x4-1080ti-10gbe", {{"name", "s-sgd"}, {"overlap", "horovod"}, {"cycle", "5ms"}});
  json["model"] = "mlp";
  json["gpus"] = "0-7";
  const JobOutcome job = outcome(json);
  EXPECT_NEAR(job.time.total_s(), job.iteration_time_s, 1e-9 * job.iteration_time_s);
}

TEST(MeasuredPart, OneWorkerIsAtItsFloor) {
  for (const char* schedule : {"power-sgd", "dgc", "lags-sgd", "local-sgd", "s-sgd"}) {
    Json json = on("16x1-1080ti-1gbe", schedule);
    json["model"] = "lenet5";
    json["gpus"] = "0";
    const JobOutcome job = outcome(json);
    EXPECT_NEAR(job.floors.front().iteration_s, job.iteration_time_s, 1e-9 * job.iteration_time_s)
        << schedule;
  }
}

TEST(MeasuredPart, DefaultsDoNotWarnOfThemselves) {
  for (const char* schedule : {"diloco", "streaming-diloco", "local-sgd", "cocod-sgd"}) {
    Json json = on("16x1-1080ti-1gbe", schedule);
    json["gpus"] = "0-3";
    const Prepared prepared = prepare(read_experiment(json, "test.json"));
    EXPECT_THAT(prepared.jobs.front().warnings, Not(Contains(HasSubstr("the times are not"))))
        << schedule;
  }
}

// ---- bounds

// One line between two sites carries both directions of the ring.
TEST(HalfDuplex, BoundsAreNotBelowTheFloors) {
  const std::string cluster =
      std::string(PACELINE_SOURCE_DIR) + "/platforms/examples/two-sites.json";
  for (const char* schedule : {"s-sgd", "priority-sgd", "cocod-sgd", "lags-sgd", "ps-s-sgd"}) {
    Json json = on(cluster, schedule);
    const Prepared prepared = prepare(read_experiment(json, "test.json"));
    EXPECT_NO_THROW((void)paper_bounds(prepared.jobs.front(), *prepared.simulation.cluster))
        << schedule;
  }
  Json json = on(cluster, {{"name", "s-sgd"}, {"overlap", "none"}});
  json["steps"] = 4;
  const Json result =
      run_isolated({[&] { return to_json(run_alone(read_experiment(json, "test.json"))); }}, 1)
          .front();
  const double iteration = result.at("iteration_time_s");
  for (const Json& bound : result.at("bounds")) {
    const double seconds = bound.at("iteration_s");
    if (bound.at("name") == "linear speedup") continue;
    if (bound.at("name") == "no overlap") {
      EXPECT_NEAR(seconds, iteration, 1e-6 * iteration);
    }
    for (const Json& floor : result.at("floors"))
      EXPECT_GE(seconds, floor.at("iteration_s").get<double>() * (1 - 1e-9)) << bound;
  }
}

TEST(Bounds, BelowAFloorIsOurBug) {
  Prepared prepared = prepare(read_experiment(on("16x1-1080ti-1gbe", "s-sgd"), "test.json"));
  prepared.jobs.front().spec.schedule.bounds = [](const BoundInputs& in) {
    return std::vector<PaperBound>{
        time_bound("too good", "t_f", "a mistake", 0.5 * in.dense_wire_s())};
  };
  EXPECT_THROW((void)paper_bounds(prepared.jobs.front(), *prepared.simulation.cluster),
               CheckFailed);
}

TEST(Links, UsedAboveTheirBandwidthAreOurBug) {
  EXPECT_NO_THROW(check_links({{"a", 1, 1, 1, 1}}, "x"));
  EXPECT_THROW(check_links({{"a", 1, 1, 1.001, 1}}, "x"), CheckFailed);
}

// ---- assumptions

// What a server takes is up to its host, not to a constant of ours.
TEST(Assumptions, HostsUpdateAtTheClustersBandwidth) {
  const auto run_at = [&](const std::string& memory_bandwidth) {
    Json json = on("", "ps-s-sgd");
    json["cluster"] = Json::parse(R"({"format": "paceline-cluster-1", "name": "four",
        "nodes": [{"count": 4, "gpus": 1, "gpu": "V100", "pcie": "inf"}],
        "network": {"bandwidth": "100Gbps", "latency": "10us"}})");
    if (!memory_bandwidth.empty())
      json["cluster"]["nodes"][0]["host"] = {{"memory_bandwidth", memory_bandwidth}};
    json["servers"] = 1;
    json["fidelity"] = "closed";
    return outcome(json);
  };
  const auto names_hosts =
      Contains(Field(&Assumption::name, std::string("memory bandwidth of the hosts")));
  const JobOutcome unsaid = run_at(""), ten = run_at("10GB/s");
  EXPECT_THAT(unsaid.assumptions, names_hosts);
  EXPECT_THAT(ten.assumptions, Not(names_hosts));
  EXPECT_EQ(unsaid.iteration_time_s, ten.iteration_time_s);
  EXPECT_LT(run_at("60GB/s").iteration_time_s, 0.99 * ten.iteration_time_s);
}

TEST(Assumptions, OnlyWhatMayMoveTheResult) {
  const auto selections = Contains(Field(&Assumption::when, Assumption::When::selection));
  EXPECT_THAT(outcome(on("16x1-1080ti-10gbe", "s-sgd")).assumptions, Not(selections));
  EXPECT_THAT(outcome(on("16x1-1080ti-10gbe", "lags-sgd")).assumptions, selections);
  EXPECT_TRUE(outcome({{"format", "paceline-experiment-1"},
                       {"model", "resnet50"},
                       {"profile", "reference-wfbp"},
                       {"cluster", "16x1-1080ti-10gbe"}})
                  .assumptions.empty());
}

// ---- S-SGD to compare with

struct Counted {
  Comparison comparison;
  std::size_t simulations = 0;
};

Counted counted(const Json& json, const std::vector<std::string>& axes) {
  Counted result;
  std::vector<Axis> read;
  for (const std::string& axis : axes) read.push_back(axis_from_option(axis));
  CompareSettings settings;
  settings.progress = [&](const CompareProgress& progress) { result.simulations = progress.all; };
  result.comparison = compare(json, "test.json", read, settings);
  return result;
}

TEST(Baseline, IsDdpsBucketsAndCostsASweepOfSSgdNothing) {
  const Counted sweep =
      counted(on("4x4-v100-100gbib", "s-sgd"), {"network.bandwidth=1Gbps,10Gbps"});
  EXPECT_EQ(sweep.simulations, 2U);
  EXPECT_FALSE(sweep.comparison.rows[0].result.job.speedup_over_s_sgd);

  const Counted mixed = counted(on("4x4-v100-100gbib", "s-sgd"),
                                {"schedule=s-sgd,s-sgd:overlap=ddp,cocod-sgd,local-sgd"});
  EXPECT_EQ(mixed.simulations, 4U);  // DDP's is there anyway, and for all of them
  const JobOutcome& ddp = mixed.comparison.rows[1].result.job;
  for (const ComparedRow& row : mixed.comparison.rows) {
    EXPECT_EQ(row.result.job.s_sgd_baseline, "s-sgd:overlap=ddp");
    EXPECT_DOUBLE_EQ(*row.result.job.speedup_over_s_sgd,
                     ddp.iteration_time_s / row.result.job.iteration_time_s);
  }
}

TEST(Baseline, IsWhatIsAskedFor) {
  const auto speedups = [&](const Json& baseline) {
    Json json = on("4x4-v100-100gbib", "cocod-sgd");
    json["baseline"] = baseline;
    return counted(json, {"schedule=cocod-sgd,s-sgd:overlap=none"}).comparison.rows;
  };
  const auto best = speedups("best"), none = speedups("none"), wfbp = speedups("wfbp");
  EXPECT_FALSE(none[0].result.job.speedup_over_s_sgd);
  EXPECT_EQ(wfbp[0].result.job.s_sgd_baseline, "s-sgd:overlap=wfbp");
  EXPECT_LE(*best[0].result.job.s_sgd_time_s, *wfbp[0].result.job.s_sgd_time_s);
  EXPECT_LE(*best[1].result.job.speedup_over_s_sgd, 1 + 1e-12);
  try {
    (void)read_experiment(
        [] {
          Json json = on("4x4-v100-100gbib", "cocod-sgd");
          json["baseline"] = "ddq";
          return json;
        }(),
        "test.json");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'ddp'"));
  }
}

// With 100 ms between the nodes one all-reduce per tensor is the weakest S-SGD there is: over it DiLoCo
// was 1404 x and more. Each start of a ring of 16 costs 3 s: fewer starts, a faster S-SGD.
TEST(Baseline, OverAWanIsNotTheWeakestSSgd) {
  Json json = on("16x1-1080ti-1gbe", "diloco");
  json["model"] = "resnet50";
  json["batch"] = 32;
  json["schedule"] = {{"name", "diloco"}, {"period", 500}};
  json["steps"] = 2000;
  const auto row = [&](const Json& baseline) {
    if (!baseline.is_null()) json["baseline"] = baseline;
    return counted(json, {"network.latency=100ms"}).comparison.rows[0].result.job;
  };
  const JobOutcome unasked = row(nullptr), best = row("best"), per_tensor = row("wfbp");
  EXPECT_EQ(unasked.s_sgd_baseline, "s-sgd:overlap=ddp");
  EXPECT_LT(*unasked.speedup_over_s_sgd, 100);
  EXPECT_EQ(best.s_sgd_baseline, "s-sgd:overlap=none");  // one all-reduce of all
  EXPECT_NEAR(*best.s_sgd_time_s, 4.8, 0.3);             // 3 s of starts, 1.7 s of bytes
  EXPECT_LT(*best.speedup_over_s_sgd, *unasked.speedup_over_s_sgd);
  EXPECT_GT(*per_tensor.speedup_over_s_sgd, 1404);
}

// ---- what would be ignored

TEST(Ignored, NothingThatTheUserSays) {
  const auto refused = [](const std::function<void()>& what) -> std::string {
    try {
      what();
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refused([] {
                (void)points(on("4x4-v100-100gbib", "s-sgd"),
                             {axis_from_option("batch=8,16"), axis_from_option("batch=32")});
              }),
              HasSubstr("'batch' and 'batch' both say 'batch'"));
  EXPECT_EQ(points(on("4x4-v100-100gbib", "s-sgd"), {axis_from_option("training.momentum=0,0.9"),
                                                     axis_from_option("training.clip_norm=1,2")})
                .size(),
            4U);
  Json json = on("4x4-v100-100gbib", "s-sgd");
  json["set"] = {"nodes[0].nic=10Gbps", "network.bandwidth=25Gbps"};
  EXPECT_THAT(refused([&] { (void)read_experiment(json, "test.json"); }),
              HasSubstr("changes nothing, because every node has a 'nic' of its own"));
}

TEST(Ignored, ServersOnIdleHostsAreNamed) {
  Json json = on("16x1-1080ti-10gbe", "ps-s-sgd");
  json["gpus"] = "0-3";
  json["cluster"] = write_cluster(load_cluster_spec("16x1-1080ti-10gbe"));
  json["cluster"]["nodes"].push_back({{"name", "helper"}, {"count", 12}, {"gpus", 0}});
  const auto warnings = [&] {
    return prepare(read_experiment(json, "test.json")).jobs.front().warnings;
  };
  EXPECT_THAT(warnings(), Contains(HasSubstr("12 of the 16 parameter servers")));
  json["servers"] = 16;
  EXPECT_THAT(warnings(), Not(Contains(HasSubstr("parameter servers"))));
}

}  // namespace
}  // namespace paceline
