// Same input, same bits; memory that does not grow with the run; extrapolation that changes
// nothing.
#include <sys/resource.h>

#include <cstring>

#include "algorithms/registry.hpp"
#include "base/json.hpp"
#include "platforms/gpus.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/reference_case.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

// Every number of a result, in a fixed order.
std::vector<double> numbers(const SimulationResult& result) {
  std::vector<double> all{static_cast<double>(result.events), result.end_date_s,
                          result.flow_error_bound};
  for (const JobResult& job : result.jobs) {
    all.insert(all.end(),
               {job.iteration_time_s, job.median_s, job.p25_s, job.p75_s, job.total_time_s,
                job.rounds, job.sent_bytes, job.sent_bytes_max, job.messages, job.fastest_compute_s,
                job.slowest_compute_s, job.per_iteration.exposed_wire,
                job.per_iteration.exposed_copy, job.per_iteration.waiting});
    all.insert(all.end(), std::begin(job.per_iteration.busy), std::end(job.per_iteration.busy));
    all.insert(all.end(), job.worker_iteration_s.begin(), job.worker_iteration_s.end());
  }
  for (const LinkUse& link : result.links) all.insert(all.end(), {link.bytes, link.utilisation});
  return all;
}

std::vector<double> disturbed_run(Fidelity fidelity) {
  ClusterSpec spec = star_spec(6);
  spec.nodes = {node_group(4), node_group(2)};
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = kBandwidth / 3;
  spec.stragglers = {{1, 2.0, 0.02, 0.07}};
  JobSpec job = make_job(uniform_model(9, 300'001, 1e-3, 7e-4), first_gpus(6), 12, wait_free);
  job.jitter = {Jitter::Distribution::lognormal, 0.15};
  JobSpec other = job;
  other.seed = 9;
  return numbers(run(build(spec), {job, other}, fidelity));
}

TEST(Determinism, TwentyRunsGiveEqualBits) {
  for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow, Fidelity::step}) {
    const std::vector<double> first = in_child([&] { return disturbed_run(fidelity); });
    ASSERT_GT(first.size(), 40U);
    for (int i = 1; i < 20; ++i) {
      const std::vector<double> again = in_child([&] { return disturbed_run(fidelity); });
      ASSERT_EQ(again.size(), first.size());
      EXPECT_EQ(std::memcmp(again.data(), first.data(), first.size() * sizeof(double)), 0)
          << to_string(fidelity) << " run " << i;
    }
  }
}

// ---- memory

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// How much the peak grows from 100 to `steps` iterations, within one child each.
double peak_growth_mib(std::int64_t steps, Fidelity fidelity) {
  const auto peak_of = [&](std::int64_t count) {
    return in_child([&] {
             JobSpec job =
                 make_job(uniform_model(6, 10'000, 1e-4, 1e-4), first_gpus(4), count, wait_free);
             const SimulationResult result = run(build(star_spec(4)), {job}, fidelity);
             EXPECT_EQ(result.jobs[0].simulated_steps, count);
             return std::vector<double>{peak_mib()};
           })
        .at(0);
  };
  return peak_of(steps) - peak_of(100);
}

#if defined(__has_feature)  // clang's way to say it
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

TEST(Memory, IsFlatInTheNumberOfIterations) {
  if (kSanitized) GTEST_SKIP() << "sanitizers keep what is freed";
  EXPECT_LT(peak_growth_mib(10'000, Fidelity::closed), 1);
  EXPECT_LT(peak_growth_mib(10'000, Fidelity::flow), 1);
}

// ---- extrapolation

TEST(Extrapolation, LeavesTheReferenceCaseAsItIs) {
  const JobResult full =
      run(reference_cluster(16), {reference_job(16, 200)}, Fidelity::closed).jobs[0];
  const JobResult quick =
      run(reference_cluster(16), {reference_job(16, 200)}, Fidelity::closed, true).jobs[0];
  EXPECT_EQ(full.simulated_steps, 200);
  EXPECT_LE(quick.simulated_steps, 5);
  EXPECT_EQ(quick.steps, 200);
  EXPECT_TRUE(close_to(quick.iteration_time_s, full.iteration_time_s, 1e-9));
  EXPECT_TRUE(close_to(quick.total_time_s, full.total_time_s, 1e-9));
  EXPECT_TRUE(close_to(quick.sent_bytes, full.sent_bytes, 1e-9));
  EXPECT_TRUE(close_to(quick.messages, full.messages, 1e-9));
  EXPECT_TRUE(close_to(quick.per_iteration.exposed_wire, full.per_iteration.exposed_wire, 1e-9));
}

// Every step is a little longer than the one before: there is no steady state.
Program ever_longer(Worker& w) {
  for (const Step step : w.steps()) {
    const double seconds = 1e-3 * (1 + 1e-6 * static_cast<double>(step.index));
    co_await w.finished(w.op("work", Activity::forward, {}, 1, seconds, {}));
  }
}

// A long warm-up that only the phase key tells of: no two of its steps are the same.
Program long_warm_up(Worker& w) {
  for (const Step step : w.steps()) {
    w.phase(std::min<std::int64_t>(step.index, 50));
    const double seconds = step.index < 50 ? 1e-3 : 2e-3;
    co_await w.finished(w.op("work", Activity::forward, {}, 1, seconds, {}));
  }
}

TEST(Extrapolation, DoesNotHappenWhereNothingRepeats) {
  for (const auto& program : {ever_longer, long_warm_up}) {
    JobSpec job = make_job(uniform_model(1, 10, 0, 0), first_gpus(2), 80,
                           [&](Worker& w) { return program(w); });
    const double full = run(build(star_spec(2)), {job}, Fidelity::closed).jobs[0].total_time_s;
    const JobResult quick = run(build(star_spec(2)), {job}, Fidelity::closed, true).jobs[0];
    EXPECT_TRUE(close_to(quick.total_time_s, full, 1e-9)) << quick.simulated_steps;
    EXPECT_GT(quick.simulated_steps, 50);
  }
}

// The registry's schedules with their default options.
JobSpec registered_job(const ScheduleEntry& entry, const Cluster& cluster, std::int64_t steps) {
  ModelShape model;
  for (int i = 0; i < 8; ++i)
    add_tensor(model, i % 3 == 0 ? 1'500'000 : 40'000 + 1000 * i, 1e-3, 2e-3);
  JobSpec job = make_job(model, first_gpus(4), steps, nullptr);
  job.costs = std::make_shared<OperationCosts>(operation_costs(find_gpu("GTX 1080 Ti")));
  job.servers = {cluster.host_of(4), cluster.host_of(5)};
  const Json no_options = Json::object();
  ObjectReader reader(no_options, "options");
  ScheduleContext context;
  context.model = &job.model;
  context.servers = job.servers.size();
  job.schedule = entry.make(reader, context);
  if (!job.schedule.server) job.servers.clear();
  return job;
}

TEST(Extrapolation, GivesTheSteadyPaceOfEveryScheduleOfTheRegistry) {
  ClusterSpec spec = star_spec(4);
  spec.nodes.push_back(node_group(2, 0));
  spec.nodes[1].name = "server";
  spec.nodes[1].gpu.clear();
  const auto cluster = build(spec);
  for (const ScheduleEntry& entry : schedules()) {
    SCOPED_TRACE(entry.name);
    const JobSpec probe = registered_job(entry, *cluster, 1000);
    const std::int64_t cycle = probe.schedule.cycle, warm_up = probe.schedule.warm_up;
    const std::int64_t few = warm_up + 30 * cycle, many = warm_up + 60 * cycle;
    const auto result = [&](std::int64_t steps, bool extrapolate) {
      return run(cluster, {registered_job(entry, *cluster, steps)}, Fidelity::closed, extrapolate)
          .jobs[0];
    };
    const JobResult quick = result(many, true), full = result(many, false);
    EXPECT_EQ(full.simulated_steps, many);
    // STL-SGD's period grows with time: nothing repeats.
    if (!probe.schedule.synchronous || entry.name == "stl-sgd") {
      EXPECT_EQ(quick.simulated_steps, many);
      continue;
    }
    // The difference of two full runs: without what it takes to start and to run dry.
    const double pace =
        (full.total_time_s - result(few, false).total_time_s) / static_cast<double>(many - few);
    EXPECT_TRUE(close_to(quick.iteration_time_s, pace, 1e-9));
    EXPECT_LE(quick.simulated_steps, warm_up + 8 * cycle);
    // What the whole run takes may differ by the draining of the last cycle.
    EXPECT_NEAR(quick.total_time_s, full.total_time_s, static_cast<double>(cycle) * pace);
  }
}

}  // namespace
}  // namespace paceline
