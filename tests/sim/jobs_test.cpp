// What a job reports of itself: its own traffic, its last iterations, its processes in the trace.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "algorithms/server.hpp"
#include "base/json.hpp"
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

Json traced(const SimulationSpec& spec) {
  Recorder recorder;
  simulate(spec, &recorder);
  std::ostringstream text;
  recorder.write(text);
  return parse_json(text.str(), "trace").at("traceEvents");
}

// Bytes that a link's counter stands for: what it shows, times how long.
std::map<std::string, double> bytes_of_counters(const Json& events) {
  struct Counter {
    double date_s = 0, bytes_per_s = 0, bytes = 0;
  };
  std::map<std::string, Counter> counters;
  for (const Json& event : events) {
    if (event.at("ph") != "C") continue;
    Counter& counter = counters[event.at("name")];
    const double now = event.at("ts").get<double>() / 1e6;
    counter.bytes += counter.bytes_per_s * (now - counter.date_s);
    counter.date_s = now;
    counter.bytes_per_s = event.at("args").at("Gbit/s").get<double>() * 1e9 / 8;
  }
  std::map<std::string, double> bytes;
  for (const auto& [link, counter] : counters) {
    EXPECT_EQ(counter.bytes_per_s, 0) << link << " carries nothing in the end";
    bytes[link] = counter.bytes;
  }
  return bytes;
}

// A ring over four brings each of eight one-way links 2 (3/4) of the gradients, three times.
TEST(Trace, CountsWhatLinksCarry) {
  SimulationSpec spec;
  spec.cluster = build(star_spec(4));
  spec.jobs = {make_job(uniform_model(2, 1'000'000, 1e-3, 2e-3), first_gpus(4), 3, wait_free)};
  spec.fidelity = Fidelity::closed;
  const Json events = traced(spec);
  const std::map<std::string, double> links = bytes_of_counters(events);
  EXPECT_EQ(links.size(), 8U);
  for (const auto& [link, bytes] : links) EXPECT_TRUE(close_to(bytes, 3 * 1.5 * 8e6, 1e-5)) << link;
  std::map<std::string, int> steps;
  double sent = 0;
  for (const Json& event : events) {
    if (event.at("ph") != "X") continue;
    if (event.at("cat") == "step") ++steps[event.at("name")];
    if (event.at("cat") == "all-reduce" && event.at("pid") == 0)
      sent += event.at("args").at("bytes").get<double>();
  }
  EXPECT_EQ(steps, (std::map<std::string, int>{{"step 0", 4}, {"step 1", 4}, {"step 2", 4}}));
  EXPECT_EQ(sent, 3 * 8e6);
}

Program push_and_pull(Worker& w) {
  for (const Step step : w.steps()) {
    co_await w.local_step(step);
    const Shard whole{0, 0, 0, w.model().elements};
    co_await w.push(whole, w.parameters());
    co_await w.pull(whole, step.index);
  }
}
Program takes_and_answers(Server& s) {
  for (;;) {
    const Request request = co_await s.receive();
    if (request.kind == Request::Kind::push)
      s.acknowledge(request, request.data);
    else
      s.reply(request, s.initial(request.shard));
  }
}

// Both directions stand on tracks of the worker, whose spans do not overlap.
TEST(Trace, ShowsPushesAndPulls) {
  SimulationSpec spec;
  spec.cluster = build(star_spec(3));
  JobSpec job = make_job(uniform_model(1, 1'000'000, 1e-3, 2e-3), first_gpus(2), 4, push_and_pull);
  job.schedule.server = takes_and_answers;
  job.schedule.synchronous = false;
  job.servers = {spec.cluster->host_of(2)};
  spec.jobs = {job};
  for (const Fidelity fidelity : {Fidelity::closed, Fidelity::flow}) {
    spec.fidelity = fidelity;
    const Json events = traced(spec);
    std::map<std::string, std::string> tracks;
    std::map<std::string, int> seen;
    std::map<std::pair<int, int>, double> ends;
    for (const Json& event : events) {
      const std::pair<int, int> track{event.at("pid"), event.at("tid")};
      if (event.at("name") == "thread_name") tracks[event.at("args").at("name")] = "named";
      if (event.at("ph") != "X") continue;
      if (event.at("cat") != "push" && event.at("cat") != "pull") continue;
      ++seen[event.at("cat")];
      EXPECT_EQ(event.at("args").at("bytes"), 4e6);
      EXPECT_GE(event.at("ts").get<double>(), ends[track] - 1e-6);
      ends[track] = event.at("ts").get<double>() + event.at("dur").get<double>();
    }
    EXPECT_EQ(seen, (std::map<std::string, int>{{"pull", 8}, {"push", 8}}));
    EXPECT_THAT(tracks, testing::Contains(testing::Key("push to server 0")));
    EXPECT_THAT(tracks, testing::Contains(testing::Key("pull from server 0")));
    double carried = 0;
    for (const auto& [link, bytes] : bytes_of_counters(events)) carried += bytes;
    EXPECT_TRUE(close_to(carried, 2 * 16 * 4e6, 1e-5));  // two links each
  }
}

}  // namespace
}  // namespace paceline
