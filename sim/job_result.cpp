#include "sim/job_result.hpp"

#include <algorithm>
#include <limits>

#include "base/statistics.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

// What one worker did while it was measured.
struct Part {
  double steps = 0, seconds = 0, rounds = 0;
  Account account;
  Job::Sent sent;  // in collectives, and to servers
};

Part measured_part(const Job& job, std::uint32_t rank) {
  const WorkerRuntime::Totals &from = job.measurement().first().workers[rank],
                              &until = job.measurement().last().workers[rank];
  Part part{static_cast<double>(until.steps - from.steps), until.date_s - from.date_s,
            static_cast<double>(until.rounds - from.rounds), until.account, job.sent(rank)};
  part.account -= from.account;
  part.sent.bytes += until.sent.bytes - from.sent.bytes;
  part.sent.messages += until.sent.messages - from.sent.messages;
  return part;
}

// Asynchronous: steps per second of the mean worker.
double mean_pace(const std::vector<Part>& parts) {
  double pace = 0;
  for (const Part& part : parts)
    if (part.seconds > 0) pace += part.steps / part.seconds / static_cast<double>(parts.size());
  return pace;
}

void add_dates(const Job& job, const LeftOut& left_out, JobResult& r) {
  const IterationLog& log = job.log();
  if (job.ended())
    r.total_time_s = job.end_date() + static_cast<double>(left_out.cycles) * left_out.cycle_s;
  else
    r.total_time_s =
        log.last_date + (left_out.cycles > 0
                             ? static_cast<double>(r.steps - log.completed) * r.iteration_time_s
                             : 0);
  r.total_time_s = std::max(0.0, r.total_time_s - job.spec().start_s);
  if (log.durations.empty()) return;
  r.median_s = quantile(log.durations, 0.5);
  r.p25_s = quantile(log.durations, 0.25);
  r.p75_s = quantile(log.durations, 0.75);
}

// Per iteration, of the measured part of the run.
void add_means(const Job& job, const std::vector<Part>& parts, JobResult& r) {
  const auto workers = static_cast<double>(parts.size());
  const bool in_step = job.measurement().in_step();
  double compute_rate = 0;  // steps per second of computing, of the mean worker
  r.fastest_compute_s = std::numeric_limits<double>::infinity();
  for (const Part& part : parts) {
    r.worker_busy.push_back(part.seconds > 0 ? part.account.operations() / part.seconds : 0);
    if (part.steps <= 0) continue;
    // Asynchronous: the iterations of the mean worker in the time of this one.
    const double steps = in_step ? r.measured_steps : part.seconds / r.iteration_time_s;
    Account per_step = part.account;
    per_step *= 1 / (steps * workers);
    r.per_iteration += per_step;
    const double busy = part.account.operations() / (in_step ? r.measured_steps : part.steps);
    r.fastest_compute_s = std::min(r.fastest_compute_s, busy);
    r.slowest_compute_s = std::max(r.slowest_compute_s, busy);
    if (busy > 0) compute_rate += 1 / busy / workers;
    r.sent_bytes += part.sent.bytes / steps / workers;
    r.sent_bytes_max = std::max(r.sent_bytes_max, part.sent.bytes / steps);
    r.messages += part.sent.messages / steps / workers;
  }
  const double mean_compute = compute_rate > 0 ? 1 / compute_rate : 0;
  r.compute_floor_s = in_step ? r.slowest_compute_s : mean_compute;
}

// Over all steps: what was simulated, and the cycles left out; of a job that was cut, in proportion.
void add_totals(const Job& job, const LeftOut& left_out, const std::vector<Part>& parts,
                JobResult& r) {
  const auto workers = static_cast<double>(parts.size());
  for (std::uint32_t rank = 0; rank < parts.size(); ++rank) {
    const auto steps =
        static_cast<double>(std::max<std::int64_t>(1, job.workers()[rank]->steps_passed()));
    const double scale = left_out.cycles > 0 ? 1 : static_cast<double>(r.steps) / steps;
    const Job::Sent all = job.sent_in_all(rank);
    const auto add = [&](double& total, double simulated, double of_cycle) {
      total += (scale * simulated + static_cast<double>(left_out.cycles) * of_cycle) / workers;
    };
    add(r.rounds, static_cast<double>(job.workers()[rank]->rounds()), parts[rank].rounds);
    add(r.total_messages, all.messages, parts[rank].sent.messages);
    add(r.total_bytes, all.bytes, parts[rank].sent.bytes);
  }
}

// Each worker's own time, from border to border of its own.
void add_own_paces(const Job& job, const LeftOut& left_out, const std::vector<Part>& parts,
                   JobResult& r) {
  for (std::uint32_t rank = 0; rank < parts.size(); ++rank) {
    const WorkerRuntime::Own own = job.workers()[rank]->own();
    if (job.measurement().in_step() && left_out.cycles == 0)
      r.worker_iteration_s.push_back(own.seconds /
                                     static_cast<double>(std::max<std::int64_t>(1, own.steps)));
    else if (parts[rank].steps > 0)
      r.worker_iteration_s.push_back(parts[rank].seconds / parts[rank].steps);
  }
}

}  // namespace

JobResult job_result(const Job& job, const LeftOut& left_out) {
  JobResult r;
  r.training = job.training_log();
  r.name = job.spec().name;
  r.workers = job.workers().size();
  r.steps = job.reached() ? job.log().completed : job.spec().steps;
  r.message_sizes = job.message_sizes();
  r.simulated_steps = job.log().completed;
  r.measured_from = job.log().measured_from;
  std::vector<Part> parts;
  for (std::uint32_t rank = 0; rank < r.workers; ++rank) parts.push_back(measured_part(job, rank));
  const JobTotals &from = job.measurement().first(), &until = job.measurement().last();
  const double seconds = until.date_s - from.date_s;
  r.measured_steps = job.measurement().in_step() ? static_cast<double>(until.border - from.border)
                                                 : seconds * mean_pace(parts);
  if (r.measured_steps > 0) {
    r.iteration_time_s = seconds / r.measured_steps;
    add_means(job, parts, r);
  }
  add_dates(job, left_out, r);
  add_totals(job, left_out, parts, r);
  add_own_paces(job, left_out, parts, r);
  return r;
}

}  // namespace paceline
