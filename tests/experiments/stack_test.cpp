// A software stack in experiments, axes and results.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "experiments/axes.hpp"
#include "experiments/prepare.hpp"
#include "experiments/run.hpp"
#include "small.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

Json with(const std::string& key, Json value) {
  Json json = small();
  json[key] = std::move(value);
  return json;
}

RunResult run(const Json& json) {
  return run_alone(read_experiment(json, "test.json"));
}

TEST(StackOfAnExperiment, IdealIsTheDefaultAndChangesNothing) {
  const RunResult without = run(small()), ideal = run(with("stack", "ideal"));
  EXPECT_EQ(to_json(without), to_json(ideal));
  EXPECT_EQ(without.stack, "ideal");
}

TEST(StackOfAnExperiment, IsInTheResultAndRunsAgain) {
  Json json = with("set", {"stack.compute_per_tensor=50us", "network.bandwidth=5Gbps"});
  const RunResult result = run(json);
  EXPECT_GT(result.job.iteration_time_s,
            run(with("set", {"network.bandwidth=5Gbps"})).job.iteration_time_s);
  EXPECT_NEAR(result.job.time.software_s, 161 * 50e-6, 1e-12);
  EXPECT_NEAR(result.job.time.total_s(), result.job.iteration_time_s,
              1e-9 * result.job.iteration_time_s);
  EXPECT_EQ(to_json(run(result.experiment)), to_json(result));
}

TEST(StackOfAnExperiment, ComputeIsLostAsWithTheExperimentsOwnShare) {
  EXPECT_EQ(run(with("set", {"stack.compute_lost_while_sending=0.3"})).job.iteration_time_s,
            run(with("slow_while_sending", 0.3)).job.iteration_time_s);
}

TEST(StackOfAnExperiment, ItsJitterGivesWayToTheExperiments) {
  Json json = with("set", {"stack.step_jitter=0.1"});
  const Experiment of_stack = read_experiment(json, "test.json");
  EXPECT_EQ(of_stack.jitter.distribution, Jitter::Distribution::lognormal);
  EXPECT_EQ(of_stack.jitter.cv, 0.1);
  json["jitter"] = {{"distribution", "none"}};
  EXPECT_EQ(read_experiment(json, "test.json").jitter, Jitter{});
}

TEST(StackOfAnExperiment, CanBeAnAxis) {
  const std::vector<Point> all = points(
      small(),
      {axis_from_option("stack=ideal"), axis_from_option("stack.flow_bandwidth=2Gbps,4Gbps")});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(read_experiment(all[0].json, "test.json").stack.flow_bandwidth.value, 0.25e9);
  EXPECT_EQ(read_experiment(all[1].json, "test.json").stack.flow_bandwidth.value, 0.5e9);
}

TEST(Servers, StandOnTheNodesThatTheJobUses) {
  Json json = small();
  json["cluster"] = "4x4-1080ti-10gbe";
  json["schedule"] = "ps-s-sgd";
  json["steps"] = 4;
  const auto servers = [&](const std::string& gpus) {
    json["gpus"] = gpus;
    return prepare(read_experiment(json, "test.json")).jobs[0].spec.servers;
  };
  EXPECT_EQ(servers("4-11"), (std::vector<Endpoint>{17, 18}));
  EXPECT_EQ(servers("0-15"), (std::vector<Endpoint>{16, 17, 18, 19}));
  json["servers"] = 3;  // more than its nodes: others help
  EXPECT_EQ(servers("4-11"), (std::vector<Endpoint>{17, 18, 16}));
  json["servers"] = 5;
  EXPECT_THROW(servers("4-11"), InputError);
}

TEST(Servers, OnTheOwnHostTakeNoPortWhereAJobHasOneNode) {
  Json json = small();
  json["cluster"] = "4x4-1080ti-10gbe";
  json["schedule"] = "ps-s-sgd";
  json["stack"] = {
      {"format", "paceline-stack-1"},
      {"name", "mine"},
      {"description", "test"},
      {"constants",
       {{"own_server_over_port", {{"value", true}, {"source", "test"}, {"uncertainty", 0}}}}}};
  const auto links = [&](const std::string& gpus) {
    json["gpus"] = gpus;
    const Prepared prepared = prepare(read_experiment(json, "test.json"));
    const Cluster& cluster = *prepared.simulation.cluster;
    Route route;
    cluster.route(cluster.host_of(0), cluster.host_of(0), route);
    return route.links.size();
  };
  EXPECT_EQ(links("0-3"), 0U);
  EXPECT_EQ(links("0-4"), 2U);
}

// sigma^2 = what the inputs say + (unexplained x step)^2, of several GPUs.
TEST(StackOfAnExperiment, SaysItsOwnScatter) {
  const auto sigma = [](const std::string& gpus, double unexplained) {
    Json json = small();
    json["gpus"] = gpus;
    json["set"] = {"stack.unexplained=" + std::to_string(unexplained)};
    const RunResult result = run_alone(read_experiment(json, "test.json"));
    return std::pair(result.job.uncertainty_s, result.job.iteration_time_s);
  };
  const auto [without, step] = sigma("0-1", 0);
  EXPECT_DOUBLE_EQ(sigma("0-1", 0.06).second, step);
  EXPECT_NEAR(sigma("0-1", 0.06).first, std::hypot(without, 0.06 * step), 1e-12 * step);
  EXPECT_EQ(sigma("0", 0.06).first, sigma("0", 0).first);
}

TEST(StackOfAnExperiment, IsRefusedWithItsPath) {
  EXPECT_THAT([] { (void)read_experiment(with("stack", "ideall"), "test.json"); },
              ::testing::ThrowsMessage<InputError>(HasSubstr("test.json: $.stack")));
  EXPECT_THAT(
      [] { (void)read_experiment(with("set", {"stack.flow_bandwith=1Gbps"}), "test.json"); },
      ::testing::ThrowsMessage<InputError>(HasSubstr("'flow_bandwidth'")));
}

}  // namespace
}  // namespace paceline
