#include "mpi/measured.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/statistics.hpp"
#include "sim/measurement.hpp"

namespace paceline {
namespace {

constexpr std::size_t kActivities = std::size(Account{}.busy);
constexpr std::size_t kBorder = 1 + 2 * kActivities + 6;

std::vector<double> packed(const RankJob& job) {
  std::vector<double> numbers{job.end_s(), job.lateness().mean_s, job.lateness().most_s,
                              job.lateness().no_core};
  for (const RankBorder& border : job.borders()) {
    numbers.push_back(border.date_s);
    for (const auto& by_activity : {border.account.busy, border.account.hidden})
      numbers.insert(numbers.end(), by_activity, by_activity + kActivities);
    for (const double number :
         {border.account.exposed_wire, border.account.exposed_copy, border.account.waiting,
          border.rounds, border.bytes, border.messages})
      numbers.push_back(number);
  }
  return numbers;
}

// Of this process.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Rank {
  double end_s = 0;
  RankJob::Lateness lateness;
  std::vector<RankBorder> borders;  // [0]: the start
};

Rank unpacked(const std::vector<double>& numbers) {
  Rank rank{numbers[0], {numbers[1], numbers[2], numbers[3]}, {RankBorder{}}};
  for (std::size_t at = 4; at < numbers.size(); at += kBorder) {
    RankBorder& border = rank.borders.emplace_back();
    border.date_s = numbers[at];
    std::copy_n(&numbers[at + 1], kActivities, border.account.busy);
    std::copy_n(&numbers[at + 1 + kActivities], kActivities, border.account.hidden);
    const double* rest = &numbers[at + 1 + 2 * kActivities];
    border.account.exposed_wire = rest[0];
    border.account.exposed_copy = rest[1];
    border.account.waiting = rest[2];
    border.rounds = rest[3];
    border.bytes = rest[4];
    border.messages = rest[5];
  }
  return rank;
}

// The date at which the last rank passed a border.
double passed_s(const std::vector<Rank>& ranks, std::int64_t border) {
  double latest = 0;
  for (const Rank& rank : ranks)
    latest = std::max(latest, rank.borders[static_cast<std::size_t>(border)].date_s);
  return latest;
}

// Per iteration of the mean worker, between two borders of each worker's own.
void add_means(const JobSpec& spec, const std::vector<Rank>& ranks, const MeasuredSteps& measured,
               JobResult& r) {
  const auto workers = static_cast<double>(ranks.size());
  const auto steps = static_cast<double>(measured.until - measured.from);
  r.fastest_compute_s = std::numeric_limits<double>::infinity();
  for (const Rank& rank : ranks) {
    const RankBorder &from = rank.borders[static_cast<std::size_t>(measured.from)],
                     &until = rank.borders[static_cast<std::size_t>(measured.until)];
    Account account = until.account;
    account -= from.account;
    account *= 1 / steps;
    r.fastest_compute_s = std::min(r.fastest_compute_s, account.operations());
    r.slowest_compute_s = std::max(r.slowest_compute_s, account.operations());
    const double seconds = until.date_s - from.date_s;
    r.worker_busy.push_back(seconds > 0 ? account.operations() * steps / seconds : 0);
    account *= 1 / workers;
    r.per_iteration += account;
    const double bytes = (until.bytes - from.bytes) / steps;
    r.sent_bytes += bytes / workers;
    r.sent_bytes_max = std::max(r.sent_bytes_max, bytes);
    r.messages += (until.messages - from.messages) / steps / workers;
    r.worker_iteration_s.push_back((until.date_s - from.date_s) / steps);
    r.rounds += rank.borders.back().rounds / workers;
    r.total_bytes += rank.borders.back().bytes / workers;
    r.total_messages += rank.borders.back().messages / workers;
    r.total_time_s = std::max(r.total_time_s, rank.end_s);
  }
  r.compute_floor_s = r.slowest_compute_s;
  if (spec.schedule.synchronous) return;
  // Each at its own pace: that of the mean worker, between borders of its own.
  double pace = 0;
  for (const double seconds : r.worker_iteration_s) pace += 1 / (seconds * workers);
  r.iteration_time_s = 1 / pace;
}

JobResult job_result(const JobSpec& spec, const std::vector<Rank>& ranks) {
  JobResult r;
  r.name = spec.name;
  r.workers = ranks.size();
  r.steps = r.simulated_steps = spec.steps;
  const MeasuredSteps measured = measured_steps(spec);
  r.measured_from = measured.from;
  r.measured_steps = static_cast<double>(measured.until - measured.from);
  if (measured.until == measured.from) return r;
  std::vector<double> durations;
  for (std::int64_t border = measured.from; border < measured.until; ++border)
    durations.push_back(passed_s(ranks, border + 1) - passed_s(ranks, border));
  r.iteration_time_s =
      (passed_s(ranks, measured.until) - passed_s(ranks, measured.from)) / r.measured_steps;
  r.median_s = quantile(durations, 0.5);
  r.p25_s = quantile(durations, 0.25);
  r.p75_s = quantile(durations, 0.75);
  add_means(spec, ranks, measured, r);
  return r;
}

// As the simulator's log of a training: sums in the order of ranks.
void add_losses(const std::vector<std::vector<float>>& losses, const std::vector<Rank>& ranks,
                TrainingLog& log) {
  for (std::size_t step = 0; step < losses.front().size(); ++step) {
    LossPoint point{static_cast<std::int64_t>(step) + 1,
                    passed_s(ranks, static_cast<std::int64_t>(step) + 1), 0};
    for (std::size_t rank = 0; rank < losses.size(); ++rank) {
      const float loss = losses[rank][step];
      if (!std::isfinite(loss) && log.diverged_step < 0) {
        log.diverged_step = point.step;
        log.diverged_worker = static_cast<std::int64_t>(rank);
      }
      point.loss += static_cast<double>(loss) / static_cast<double>(losses.size());
    }
    log.steps.push_back(point);
  }
}

// Of the mean of the workers' weights, after the last step; what servers hold is the model, if
// there are any: `shards` says where.
EvaluationPoint evaluated(const JobSpec& spec, const std::vector<std::vector<double>>& shards,
                          std::vector<std::vector<float>> weights,
                          const std::vector<std::vector<float>>& states) {
  std::vector<float> mean(weights.front().size(), 0.0F), state(states.front().size(), 0.0F);
  const std::vector<std::vector<float>> served(
      weights.begin() + static_cast<std::ptrdiff_t>(states.size()), weights.end());
  weights.resize(states.size());
  for (std::size_t rank = 0; rank < weights.size(); ++rank) {
    const auto share = static_cast<float>(spec.weights[rank]);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += share * weights[rank][i];
    for (std::size_t i = 0; i < state.size(); ++i)
      state[i] += states[rank][i] / static_cast<float>(states.size());
  }
  EvaluationPoint point;
  point.step = spec.steps;
  double distance = 0, norm = 0;
  for (const float x : mean) norm += static_cast<double>(x) * x;
  for (const auto& own : weights)
    for (std::size_t i = 0; i < mean.size(); ++i) {
      const double d = static_cast<double>(own[i]) - mean[i];
      distance += d * d;
    }
  point.spread = norm == 0 ? 0 : distance / norm / static_cast<double>(weights.size());
  for (std::size_t server = 0; server < served.size(); ++server) {
    const std::vector<double>& parts = shards[states.size() + server];
    auto from = served[server].begin();
    for (std::size_t part = 0; part + 1 < parts.size(); part += 2) {
      const auto count = static_cast<std::ptrdiff_t>(parts[part + 1]);
      std::copy(from, from + count, mean.begin() + static_cast<std::ptrdiff_t>(parts[part]));
      from += count;
    }
  }
  const Evaluation found = spec.values->evaluate(mean, state);
  point.loss = found.loss;
  point.accuracy = found.accuracy;
  return point;
}

}  // namespace

CpuTimes cpu_times() {
  CpuTimes times;
  std::ifstream file("/proc/stat");
  std::string cpu;
  file >> cpu;
  double ticks = 0;
  for (int column = 0; column < 8 && file >> ticks; ++column) {
    times.all_s += ticks / 100;
    // Idle, waiting for disks, and what gives way to any rank.
    if (column == 1 || column == 3 || column == 4) times.idle_s += ticks / 100;
    if (column == 7) times.stolen_s += ticks / 100;
  }
  return times;
}

MeasuredRun measured_run(const RankJob& job, const World& world, const CpuTimes& before) {
  MeasuredRun run;
  const CpuTimes after = cpu_times();
  if (after.all_s > before.all_s)
    run.cpu_idle = (after.idle_s - before.idle_s) / (after.all_s - before.all_s);
  run.stolen = (after.stolen_s - before.stolen_s) / std::max(1e-9, after.all_s - before.all_s);
  std::vector<Rank> ranks;
  for (const std::vector<double>& numbers : world.gather(packed(job)))
    ranks.push_back(unpacked(numbers));
  for (const std::vector<double>& seconds : world.gather(std::vector<double>{cpu_seconds()}))
    run.cpu_used += seconds[0] / std::max(1e-9, after.all_s - before.all_s);
  const bool trains = job.spec().values != nullptr;
  std::vector<std::vector<float>> losses, weights, states;
  const std::vector<std::vector<double>> shards = world.gather(job.shards());
  if (trains) {
    losses = world.gather(job.losses());
    weights = world.gather(job.parameters());
    states = world.gather(job.state());
  }
  if (world.rank() != 0) return run;
  // The servers come behind the workers.
  const std::size_t workers = job.spec().gpus.size();
  for (const Rank& rank : ranks)  // also a server's
    run.lateness.no_core = std::max(run.lateness.no_core, rank.lateness.no_core);
  ranks.resize(workers);
  losses.resize(trains ? workers : 0);
  states.resize(losses.size());
  JobResult result = job_result(job.spec(), ranks);
  for (const Rank& rank : ranks) {
    run.lateness.mean_s += rank.lateness.mean_s / static_cast<double>(ranks.size());
    run.lateness.most_s = std::max(run.lateness.most_s, rank.lateness.most_s);
  }
  if (trains) {
    add_losses(losses, ranks, result.training);
    result.training.weights = shards.size() == workers ? "mean of the workers" : "the servers'";
    result.training.evaluations.push_back(evaluated(job.spec(), shards, weights, states));
    result.training.evaluations.back().time_s = passed_s(ranks, job.spec().steps);
  }
  run.result.end_date_s = result.total_time_s;
  run.result.jobs.push_back(std::move(result));
  return run;
}

}  // namespace paceline
