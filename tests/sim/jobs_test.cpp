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
