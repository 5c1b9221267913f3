// Every figure per iteration is of the same part of the run: whole cycles, or the time in which all
// asynchronous workers work.
#include "sim/measurement.hpp"
#include "base/json.hpp"

#include <gtest/gtest.h>

#include "algorithms/registry.hpp"
#include "platforms/gpus.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

TEST(MeasuredSteps, AreWholeCyclesAfterTheWarmUp) {
  const auto expect = [](std::int64_t steps, std::int64_t warm_up, std::int64_t cycle, bool drains,
                         std::int64_t from, std::int64_t until) {
    const MeasuredSteps measured = measured_steps(steps, warm_up, cycle, drains);
    EXPECT_EQ(measured.from, from) << steps;
    EXPECT_EQ(measured.until, until) << steps;
  };
  expect(100, 0, 1, false, 0, 100);
  expect(100, 2, 1, true, 2, 99);
  expect(28, 7, 7, false, 7, 28);
  expect(28, 7, 7, true, 7, 21);
  expect(27, 7, 7, false, 7, 21);
  expect(100, 7, 7, true, 7, 98);
  expect(14, 7, 7, true, 7, 14);   // the last cycle, draining included, is better than none
  expect(13, 7, 7, true, 0, 7);    // so is the warm-up
  expect(6, 7, 7, true, 0, 6);     // not even a cycle
  expect(12, 15, 5, true, 5, 10);  // within the warm-up
}

// Of the registry, over all-reduce or over two servers of their own.
struct Setting {
  std::shared_ptr<const Cluster> cluster;
  JobSpec job;
};

Setting setting(const std::string& schedule, const Json& options, std::int64_t steps,
                std::size_t workers = 4) {
  ClusterSpec spec = star_spec(workers);
  spec.nodes.push_back(node_group(2, 0));
  spec.nodes[1].name = "server";
  spec.nodes[1].gpu.clear();
  Setting s{build(spec), {}};
  ModelShape model;
  for (int i = 0; i < 8; ++i)
    add_tensor(model, i % 3 == 0 ? 1'500'000 : 40'000 + 1000 * i, 1e-3, 2e-3);
  s.job = make_job(model, first_gpus(workers), steps, nullptr);
  s.job.costs = std::make_shared<OperationCosts>(operation_costs(find_gpu("GTX 1080 Ti")));
  s.job.servers = {s.cluster->host_of(workers), s.cluster->host_of(workers + 1)};
  ObjectReader reader(options, "options");
  s.job.schedule = find_schedule(schedule).make(reader, {&s.job.model, s.job.servers.size()});
  if (!s.job.schedule.server) s.job.servers.clear();
  return s;
}

SimulationResult simulated(const Setting& s, bool extrapolate) {
  return run(s.cluster, {s.job}, Fidelity::closed, extrapolate);
}

double sum_of(const Account& account) {
  return account.operations() + account.exposed_wire + account.exposed_copy + account.waiting;
}

double busiest(const SimulationResult& result) {
  return result.links.empty() ? 0 : result.links.front().utilisation;
}

// 27, 100 and 1000 steps are no whole number of rounds of 7.
TEST(Measurement, DoesNotDependOnWhereARoundIsCut) {
  for (const char* schedule : {"local-sgd", "cocod-sgd", "diloco", "overlap-local-sgd"}) {
    const SimulationResult whole = simulated(setting(schedule, {{"period", 7}}, 70), false);
    for (const std::int64_t steps : {22, 27, 28, 29, 100, 1000})
      for (const bool extrapolate : {true, false}) {
        SCOPED_TRACE(fmt::format("{}, {} steps, {}", schedule, steps, extrapolate));
        const SimulationResult part =
            simulated(setting(schedule, {{"period", 7}}, steps), extrapolate);
        const JobResult &a = part.jobs[0], &b = whole.jobs[0];
        EXPECT_TRUE(close_to(a.iteration_time_s, b.iteration_time_s, 1e-9));
        EXPECT_TRUE(close_to(a.sent_bytes, b.sent_bytes, 1e-9));
        EXPECT_TRUE(close_to(a.messages, b.messages, 1e-9));
        EXPECT_TRUE(close_to(a.per_iteration.compute(), b.per_iteration.compute(), 1e-9));
        EXPECT_TRUE(close_to(sum_of(a.per_iteration), a.iteration_time_s, 1e-9));
        EXPECT_TRUE(close_to(busiest(part), busiest(whole), 1e-9));
        EXPECT_LE(busiest(part), 1 + 1e-9);
        const bool one_before = schedule == std::string("overlap-local-sgd");
        EXPECT_EQ(a.rounds, static_cast<double>((steps + 6) / 7 + (one_before ? 1 : 0)));
      }
  }
}

// What is left out is whole cycles: beginning and end are simulated.
TEST(Extrapolation, LeavesTotalsAndRoundsAsTheyAre) {
  for (const ScheduleEntry& entry : schedules()) {
    SCOPED_TRACE(entry.name);
    const Schedule probe = setting(entry.name, Json::object(), 1).job.schedule;
    for (const std::int64_t more : {std::int64_t{0}, probe.cycle / 2 + 1}) {
      const std::int64_t steps = probe.warm_up + 12 * probe.cycle + more;
      const auto result = [&](bool extrapolate) {
        return simulated(setting(entry.name, Json::object(), steps), extrapolate).jobs[0];
      };
      const JobResult full = result(false), quick = result(true);
      EXPECT_EQ(full.simulated_steps, steps);
      EXPECT_TRUE(close_to(quick.total_time_s, full.total_time_s, 1e-9)) << quick.simulated_steps;
      // Without a warm-up the first steps are in the mean of all, PowerSGD's first Q among them.
      EXPECT_TRUE(
          close_to(quick.iteration_time_s, full.iteration_time_s, probe.warm_up > 0 ? 1e-9 : 1e-4));
      EXPECT_TRUE(close_to(quick.rounds, full.rounds, 1e-12));
      EXPECT_TRUE(close_to(quick.total_messages, full.total_messages, 1e-12));
      EXPECT_TRUE(close_to(quick.total_bytes, full.total_bytes, 1e-9));
      EXPECT_TRUE(close_to(quick.sent_bytes, full.sent_bytes, 1e-9));
    }
  }
}

// Horovod's first steps do not meet its cycle as the later ones do.
TEST(Measurement, AccountAddsUpToTheIteration) {
  const std::pair<const char*, Json> cases[] = {
      {"s-sgd", {{"overlap", "horovod"}, {"cycle", "5ms"}}},
      {"s-sgd", {{"overlap", "ddp"}}},
      {"priority-sgd", Json::object()},
      {"ps-s-sgd", Json::object()},
      {"od-sgd", {{"warm_up", 5}}},
      {"asgd", Json::object()}};
  for (const auto& [schedule, options] : cases)
    for (const bool extrapolate : {true, false}) {
      const SimulationResult result = simulated(setting(schedule, options, 40), extrapolate);
      const JobResult& job = result.jobs[0];
      EXPECT_TRUE(close_to(sum_of(job.per_iteration), job.iteration_time_s, 1e-9)) << schedule;
      EXPECT_LE(job.compute_floor_s, job.iteration_time_s * (1 + 1e-9)) << schedule;
    }
}

// One worker computes all the time.
TEST(Measurement, IsAllComputingOnOneWorker) {
  for (const char* schedule : {"s-sgd", "power-sgd", "lags-sgd", "local-sgd"}) {
    const JobResult job = simulated(setting(schedule, Json::object(), 50, 1), true).jobs[0];
    EXPECT_TRUE(close_to(job.compute_floor_s, job.iteration_time_s, 1e-9)) << schedule;
  }
}

// Two GPUs of half the speed, and as many steps for everybody: the others are done long before.
TEST(Measurement, OfAsynchronousWorkersDoesNotDependOnTheirSteps) {
  const auto iteration = [](std::int64_t steps) {
    Setting s = setting("asgd", Json::object(), steps);
    s.job.batch_share = {1, 1, 2, 2};
    return run(s.cluster, {s.job}, Fidelity::closed).jobs[0].iteration_time_s;
  };
  const double many = iteration(2000);
  EXPECT_TRUE(close_to(iteration(1), many, 0.5));
  EXPECT_TRUE(close_to(iteration(20), many, 0.03));
  EXPECT_TRUE(close_to(iteration(200), many, 0.003));
}

}  // namespace
}  // namespace paceline
