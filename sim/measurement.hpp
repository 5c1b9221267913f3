#pragma once

#include <cstdint>
#include <vector>

#include "sim/job_context.hpp"
#include "sim/link_use.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {

/// What a job has done up to one date.
struct JobTotals {
  std::int64_t border = 0;  ///< steps that every worker has done
  double date_s = 0;
  std::vector<WorkerRuntime::Totals> workers;  ///< by rank
  std::vector<PreparedPlan::Uses> uses;        ///< by plan
  LinkTotals links;                            ///< of all jobs; empty where nobody asks for them
};

/// Borders between which a job is measured.
struct MeasuredSteps {
  std::int64_t from = 0, until = 0;
  std::int64_t cycle = 1;  ///< between two borders at which a run may be cut
};
/// Whole cycles, from the end of the warm-up on and, if it `drains`, not up to the last step. Too few
/// steps for that: the last whole cycle; for one cycle: all of them.
MeasuredSteps measured_steps(std::int64_t steps, std::int64_t warm_up, std::int64_t cycle,
                             bool drains);
/// Of a job, by its schedule.
MeasuredSteps measured_steps(const JobSpec& spec);

/// The part of a run that all figures per iteration are made of: two dates, and what was done
/// between them. Times, account, bytes, messages, links and floors all come from it.
///
/// Where workers go in step it is whole cycles of the schedule, and everything is read off at the
/// dates at which the last worker passes their first and last border: the account of every worker
/// adds up to the time between them. Asynchronous workers each go at their own pace: it is the time
/// in which all of them work, from the date at which the last one has done its warm-up to the date
/// at which the first one has done those that count, and each worker's part of it goes from the first
/// to the last border of its own. A worker without a whole step in that time has one from the start
/// to its next border.
class Measurement {
 public:
  Measurement(MeasuredSteps steps, bool in_step, std::size_t workers);
  /// The run may end before the job does: what is measured ends with the newest whole cycle.
  void may_be_cut() { every_border_ = true; }
  /// Is there a whole cycle, or time in which all work?
  [[nodiscard]] bool has_any() const { return in_step_ ? last_.border > first_.border : open_; }
  /// The job begins.
  void begin(JobTotals now);

  /// Is anything to be read off at this border, which all workers have just passed?
  [[nodiscard]] bool wants(std::int64_t border) const {
    if (closed_ || border < steps_.from || border > steps_.until) return false;
    const bool whole = every_border_ && (border - steps_.from) % steps_.cycle == 0;
    return border == steps_.from || (in_step_ && (whole || border == steps_.until));
  }
  void passed(JobTotals now);
  /// Asynchronous: is this worker's own border to be read off?
  [[nodiscard]] bool wants_own(std::size_t rank) const {
    return !in_step_ && (closed_ ? late_[rank] : open_);
  }
  /// Returns the seconds since its border before; 0: this is the first.
  double worker_passed(std::size_t rank, const WorkerRuntime::Totals& now);
  /// Asynchronous: a worker has done all that count.
  void end(JobTotals now);
  /// These instead, and nothing after them: a cycle that was found to repeat itself.
  void replace(JobTotals first, JobTotals last);

  [[nodiscard]] bool in_step() const { return in_step_; }
  /// Nothing that comes later is in it.
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] const JobTotals& first() const { return first_; }
  [[nodiscard]] const JobTotals& last() const { return last_; }

 private:
  MeasuredSteps steps_;
  bool in_step_, every_border_ = false, open_, closed_ = false;
  JobTotals start_, first_, last_;
  // Asynchronous, by rank: has passed a border since the first date; has none of its own yet
  std::vector<bool> began_, late_;
};

}  // namespace paceline
