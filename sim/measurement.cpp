#include "sim/measurement.hpp"

#include <algorithm>
#include <utility>

namespace paceline {

MeasuredSteps measured_steps(std::int64_t steps, std::int64_t warm_up, std::int64_t cycle,
                             bool drains) {
  cycle = std::max<std::int64_t>(1, cycle);
  MeasuredSteps measured;
  measured.cycle = cycle;
  measured.from = warm_up;
  if (const std::int64_t late = warm_up - std::max<std::int64_t>(0, steps - cycle); late > 0)
    measured.from = std::max<std::int64_t>(0, warm_up - (late + cycle - 1) / cycle * cycle);
  std::int64_t cycles = (steps - (drains ? 1 : 0) - measured.from) / cycle;
  if (cycles < 1) cycles = (steps - measured.from) / cycle;
  measured.until = cycles < 1 ? steps : measured.from + cycles * cycle;
  return measured;
}

MeasuredSteps measured_steps(const JobSpec& spec) {
  const Schedule& schedule = spec.schedule;
  return measured_steps(spec.steps, schedule.warm_up, schedule.cycle,
                        schedule.warm_up > 0 && schedule.drains);
}

Measurement::Measurement(MeasuredSteps steps, bool in_step, std::size_t workers)
    : steps_(steps),
      in_step_(in_step),
      open_(steps.from == 0),
      began_(workers, false),
      late_(workers, false) {
  start_.workers.resize(workers);
  first_ = last_ = start_;
}

void Measurement::begin(JobTotals now) {
  start_ = std::move(now);
  first_ = last_ = start_;
}

void Measurement::passed(JobTotals now) {
  if (now.border == steps_.from) {
    open_ = true;
    first_ = std::move(now);
    last_ = first_;
    return;
  }
  closed_ = now.border == steps_.until;
  last_ = std::move(now);
}

double Measurement::worker_passed(std::size_t rank, const WorkerRuntime::Totals& now) {
  if (late_[rank]) {
    late_[rank] = false;
    last_.workers[rank] = now;
    return 0;
  }
  if (!began_[rank]) first_.workers[rank] = last_.workers[rank] = now;
  began_[rank] = true;
  const double seconds = now.date_s - last_.workers[rank].date_s;
  last_.workers[rank] = now;
  return seconds;
}

void Measurement::end(JobTotals now) {
  if (closed_) return;
  closed_ = true;
  for (std::size_t rank = 0; rank < now.workers.size(); ++rank) {
    if (last_.workers[rank].steps > first_.workers[rank].steps) continue;
    first_.workers[rank] = start_.workers[rank];
    last_.workers[rank] = now.workers[rank];
    late_[rank] = true;
  }
  if (!open_) first_ = start_;
  std::swap(now.workers, last_.workers);
  last_ = std::move(now);
}

void Measurement::replace(JobTotals first, JobTotals last) {
  first_ = std::move(first);
  last_ = std::move(last);
  closed_ = true;
}

}  // namespace paceline
