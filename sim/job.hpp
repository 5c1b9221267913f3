#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "algorithms/schedule.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "platforms/cluster.hpp"
#include "sim/network/communication.hpp"
#include "sim/time/operation.hpp"
#include "sim/time/time_account.hpp"
#include "sim/trace.hpp"
#include "sim/training_log.hpp"
#include "sim/values/evaluations.hpp"
#include "sim/values/training_metrics.hpp"
#include "sim/worker/model_passes.hpp"

namespace paceline {

class WorkerRuntime;
class ServerRuntime;

/// One training job: a schedule over a set of GPUs.
struct JobSpec {
  std::string name = "job";
  Schedule schedule;
  ModelShape model;                             ///< with the profile's times per tensor
  std::shared_ptr<const OperationCosts> costs;  ///< of schedules' own operations
  std::vector<Endpoint> gpus;                   ///< by rank
  std::vector<Endpoint> servers;  ///< hosts that run the schedule's server; empty: none
  std::vector<double> weights;    ///< share of each worker in means; empty: 1/N, which Job fills in
  std::vector<double> batch_share;  ///< compute time relative to the profile's batch; empty: 1
  std::int64_t steps = 1;
  std::int64_t accumulation = 1;  ///< micro-batches per step
  AllReduceOptions all_reduce;
  double payload_bits = 32;       ///< per dense element on the wire
  bool momentum = true;           ///< optimiser keeps one slot
  bool clips = false;             ///< and clips the norm of what it applies
  double step_overhead_s = 0;     ///< input pipeline, once per step, before forward
  double slow_while_sending = 0;  ///< CoCoD's "a": share of compute lost while on the wire
  Selector selector = Selector::radix_select;
  Jitter jitter;
  double p25_over_median = 1, p75_over_median = 1;  ///< for jitter from the profile
  std::uint64_t seed = 1;
  std::shared_ptr<ValueEngine> values;                     ///< null: time only
  std::int64_t evaluate_every = 0;                         ///< steps; 0: only at the end
  std::function<double(std::int64_t step)> learning_rate;  ///< empty in time-only runs
};

/// The optimiser on so many elements in one piece.
[[nodiscard]] double update_s(const JobSpec& spec, double elements);

/// The iterations of a job as they went by: dates at which the last worker had passed each border.
struct IterationLog {
  std::vector<double> durations;  ///< the last kept ones, at most `kKept`
  static constexpr std::size_t kKept = 4096;
  std::int64_t completed = 0;
  double last_measured_date = 0;
  double first_date = 0;  ///< border where measuring began
  double last_date = 0;
  std::int64_t measured_from = 0;
  std::int64_t measured_until =
      0;  ///< the last border counted: before the drain of a pipelined schedule

  /// The last worker has passed the border before step `border` now.
  void passed(std::int64_t border, double now);
};

/// The workers of one job, their channels, and what they report.
class Job final : WireTime::Listener {
 public:
  class Listener {
   public:
    virtual void job_ended(Job& job) = 0;
    /// Every worker has passed the border before step `completed`.
    virtual void iteration_ended(Job& job, std::int64_t completed) = 0;

   protected:
    ~Listener() = default;
  };

  Job(JobSpec spec, const Cluster& cluster, Clock& clock, Transport& transport, Recorder* recorder,
      Listener& listener, TaskGraph* graph);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void start();

  [[nodiscard]] const JobSpec& spec() const { return spec_; }
  [[nodiscard]] const IterationLog& log() const { return log_; }
  [[nodiscard]] bool ended() const { return running_ == 0; }
  [[nodiscard]] double end_date() const { return end_date_; }
  [[nodiscard]] const std::vector<std::unique_ptr<WorkerRuntime>>& workers() const {
    return workers_;
  }
  [[nodiscard]] double learning_rate(std::int64_t step) const {
    return spec_.learning_rate ? spec_.learning_rate(step) : 0;
  }
  [[nodiscard]] double all_reduce_s(double bytes) {
    return plan(CollectiveKind::all_reduce).closed_s(bytes);
  }
  [[nodiscard]] double all_gather_s(double bytes) {
    return plan(CollectiveKind::all_gather).closed_s(bytes);
  }
  [[nodiscard]] std::string label(std::int64_t offset, std::int64_t elements) const;
  /// What a worker sent in this job's collectives between its measured borders.
  struct Sent {
    double bytes = 0, messages = 0;
  };
  [[nodiscard]] Sent sent(std::uint32_t rank) const;
  [[nodiscard]] MessageSizes message_sizes() const;
  /// Adds what this job's collectives have brought to each link so far.
  void add_link_bytes(std::vector<double>& links) const;
  /// Who waits for what, for the deadlock report.
  [[nodiscard]] std::vector<std::string> describe_waiting() const;
  [[nodiscard]] std::size_t open_operations() const;
  /// With values: everything computed so far. Waits for it.
  [[nodiscard]] TrainingLog training_log() const;
  [[nodiscard]] TrainingProgress training_progress() const;

 private:
  friend class WorkerRuntime;
  friend class ServerRuntime;
  friend class ServerCalls;
  void make_plans();
  void make_channels();
  [[nodiscard]] PreparedPlan& plan(CollectiveKind kind) {
    return *plans_[static_cast<std::size_t>(kind)];
  }
  void step_passed(WorkerRuntime& worker, std::int64_t completed);
  void border_passed(std::int64_t border);
  void worker_ended();
  void wire_changed(bool on) override;

  JobSpec spec_;
  const Cluster& cluster_;
  Clock& clock_;
  Transport& transport_;
  Recorder* recorder_;
  Listener& listener_;
  PassTimes pass_times_;
  OperationPool pool_;
  Continuations later_;
  std::vector<std::unique_ptr<WorkerRuntime>> workers_;
  std::vector<std::unique_ptr<ServerRuntime>> servers_;
  static constexpr std::size_t kKinds = 4;
  std::array<std::unique_ptr<PreparedPlan>, kKinds> plans_;  // by CollectiveKind
  // At the first and the newest measured border.
  std::array<PreparedPlan::Uses, kKinds> uses_at_first_, uses_at_last_;
  WireTime wire_;  // of the collectives, which all workers are in together
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::uint32_t> passed_;  // how many workers have passed border passed_base_ + i
  std::int64_t passed_base_ = 1;
  IterationLog log_;
  std::size_t running_ = 0;
  double end_date_ = 0;

  // Values
  TaskGraph* graph_;
  std::unique_ptr<TrainingMetrics> metrics_;  // null in time-only runs
  BufferRef initial_;
  std::vector<double> step_dates_;
  std::unique_ptr<Evaluations> evaluations_;
};

}  // namespace paceline
