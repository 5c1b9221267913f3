// What a job reports of itself: its own traffic, its last iterations, its processes in the trace.
#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "algorithms/server.hpp"
#include "sim/iteration_log.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

// Another job on the same GPUs, and at another pace, is not counted.
TEST(Traffic, IsOfTheJobsOwnCollectivesBetweenItsOwnBorders) {
  JobSpec slow = make_job(uniform_model(1, 1'000'000, 0.04, 0.06), first_gpus(4), 6, wait_free);
  JobSpec fast = make_job(uniform_model(2, 200'000, 2e-3, 3e-3), first_gpus(4), 1000, wait_free);
  slow.schedule.warm_up = 2;
  fast.schedule.warm_up = 5;
  const std::vector<JobResult> jobs = run(build(star_spec(4)), {slow, fast}, Fidelity::closed).jobs;
  ASSERT_LT(jobs[1].simulated_steps, 1000);
  ASSERT_GT(jobs[1].simulated_steps, 12);
  const double per_byte = 2 * 3.0 / 4;  // of a ring over four
  EXPECT_TRUE(close_to(jobs[0].sent_bytes, per_byte * 4e6, 1e-9));
  EXPECT_TRUE(close_to(jobs[0].messages, 6, 1e-9));
  EXPECT_TRUE(close_to(jobs[1].sent_bytes, per_byte * 2 * 8e5, 1e-9));
  EXPECT_TRUE(close_to(jobs[1].sent_bytes_max, per_byte * 2 * 8e5, 1e-9));
  EXPECT_TRUE(close_to(jobs[1].messages, 12, 1e-9));
}

TEST(IterationLog, KeepsTheLastIterations) {
  constexpr std::int64_t kHalf = IterationLog::kKept / 2;
  IterationLog log;
  log.measured_from = kHalf;
  log.measured_until = 4 * kHalf;
  double date = 0;
  for (std::int64_t border = 1; border <= 4 * kHalf; ++border)
    log.passed(border, date += static_cast<double>((border - 1) / kHalf));
  std::sort(log.durations.begin(), log.durations.end());
  ASSERT_EQ(log.durations.size(), IterationLog::kKept);
  EXPECT_EQ(log.durations.front(), 2);
  EXPECT_EQ(log.durations[kHalf - 1], 2);
  EXPECT_EQ(log.durations[kHalf], 3);
}

Program one_pull(Worker& w) {
  for (const Step step : w.steps()) {
    const Shard whole{0, 0, 0, w.model().elements};
    co_await w.pull(whole, step.index);
  }
}
Program answers(Server& s) {
  for (;;) {
    const Request request = co_await s.receive();
    s.reply(request, s.initial(request.shard));
  }
}

Program one_pull_after_work(Worker& w) {
  for (const Step step : w.steps()) {
    co_await w.local_step(step);
    const Shard whole{0, 0, 0, w.model().elements};
    co_await w.pull(whole, step.index);
  }
}

// A job that begins later takes what it takes from the start on, to the last digits, and meets the
// other one only then.
TEST(Start, ShiftsAJobOnTheClock) {
  const auto cluster = build(star_spec(8));
  const auto on = [](Endpoint first) {
    std::vector<Endpoint> gpus;
    for (Endpoint gpu = first; gpu < first + 4; ++gpu) gpus.push_back(gpu);
    return gpus;
  };
  JobSpec late = make_job(uniform_model(3, 1'000'000, 0.01, 0.02), on(0), 6, wait_free);
  const JobResult alone = run(cluster, {late}, Fidelity::closed).jobs.at(0);
  JobSpec other = make_job(uniform_model(2, 200'000, 2e-3, 3e-3), on(4), 1000, wait_free);
  late.start_s = 0.25;
  const std::vector<JobResult> jobs = run(cluster, {late, other}, Fidelity::closed).jobs;
  EXPECT_TRUE(close_to(jobs[0].iteration_time_s, alone.iteration_time_s, 1e-12));
  EXPECT_TRUE(close_to(jobs[0].total_time_s, alone.total_time_s, 1e-12));
  EXPECT_TRUE(close_to(jobs[0].median_s, alone.median_s, 1e-12));
  EXPECT_NEAR(jobs[0].per_iteration.waiting, alone.per_iteration.waiting, 1e-12);
  EXPECT_TRUE(close_to(jobs[0].sent_bytes, alone.sent_bytes, 1e-12));
  // The other one ran all the while: 0.25 s more than beside a job that begins at once.
  late.start_s = 0;
  const std::vector<JobResult> at_once = run(cluster, {late, other}, Fidelity::closed).jobs;
  const double more = static_cast<double>(jobs[1].simulated_steps - at_once[1].simulated_steps);
  EXPECT_NEAR(more * jobs[1].iteration_time_s, 0.25, 1.01 * jobs[1].iteration_time_s);
}

// The wait before it counts for nothing, whatever the pace of its workers.
TEST(Start, OfAsynchronousWorkers) {
  const auto cluster = build(star_spec(4));
  JobSpec job = make_job(uniform_model(1, 1000, 1e-3, 1e-3), first_gpus(2), 8, one_pull_after_work);
  job.schedule.server = answers;
  job.schedule.synchronous = false;
  job.servers = {cluster->host_of(3)};
  const JobResult alone = run(cluster, {job}, Fidelity::closed).jobs.at(0);
  job.start_s = 2;
  const JobResult late = run(cluster, {job}, Fidelity::closed).jobs.at(0);
  EXPECT_TRUE(close_to(late.iteration_time_s, alone.iteration_time_s, 1e-9));
  EXPECT_TRUE(close_to(late.total_time_s, alone.total_time_s, 1e-9));
}

// In a job's place that has not begun when the first one ends nothing is measured.
TEST(Start, AfterTheFirstJobsEnd) {
  const auto cluster = build(star_spec(4));
  JobSpec first = make_job(uniform_model(1, 1000, 1e-3, 1e-3), first_gpus(2), 8, wait_free);
  JobSpec never = first;
  never.gpus = {2, 3};
  never.start_s = 100;
  const std::vector<JobResult> jobs = run(cluster, {first, never}, Fidelity::closed).jobs;
  EXPECT_EQ(jobs[1].measured_steps, 0);
  EXPECT_EQ(jobs[1].total_time_s, 0);
}

TEST(Trace, NamesServers) {
  const auto cluster = build(star_spec(2));
  JobSpec job = make_job(uniform_model(1, 1000, 0, 0), first_gpus(1), 1, one_pull);
  job.name = "mine";
  job.schedule.server = answers;
  job.servers = {cluster->host_of(1)};
  SimulationSpec spec;
  spec.cluster = cluster;
  spec.jobs = {job};
  spec.fidelity = Fidelity::closed;
  Recorder recorder;
  simulate(spec, &recorder);
  std::ostringstream text;
  recorder.write(text);
  EXPECT_THAT(text.str(), testing::HasSubstr("mine worker 0"));
  EXPECT_THAT(text.str(), testing::HasSubstr("mine server 0"));
}

}  // namespace
}  // namespace paceline
