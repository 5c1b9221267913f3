#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "algorithms/schedule.hpp"
#include "calibrate/operation_costs.hpp"
#include "platforms/cluster.hpp"
#include "sim/communication.hpp"
#include "sim/model_passes.hpp"
#include "sim/operation.hpp"
#include "sim/time_account.hpp"
#include "sim/trace.hpp"
#include "sim/values/training_metrics.hpp"

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
  std::vector<Endpoint> servers;    ///< hosts that run the schedule's server; empty: none
  std::vector<double> weights;      ///< share of each worker in means; empty: equal
  std::vector<double> batch_share;  ///< compute time relative to the profile's batch; empty: 1
  std::int64_t steps = 1;
  std::int64_t accumulation = 1;  ///< micro-batches per step
  AllReduceOptions all_reduce;
  double payload_bits = 32;       ///< per dense element on the wire
  bool momentum = true;           ///< optimiser keeps one slot
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
};

/// Losses and evaluations against cluster time.
struct TrainingLog {
  struct Step {
    std::int64_t step = 0;  ///< 1: after the first
    double date_s = 0;      ///< when the last worker had passed it
    double loss = 0;        ///< mean over the workers
  };
  struct Evaluated {
    std::int64_t step = 0;
    double date_s = 0;
    Evaluation result;
    double spread = 0;  ///< mean over workers of |x_i - mean|^2 / |mean|^2
  };
  std::vector<Step> steps;
  std::vector<Evaluated> evaluations;
  std::vector<CompressionSample> compression;
  std::optional<double> staleness;  ///< mean over the applied gradients, in updates
  std::int64_t most_stale = 0;
  std::string weights;  ///< which weights were evaluated
  std::int64_t diverged_step = -1,
               diverged_worker = -1;  ///< first loss that is not finite; -1: none
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
  [[nodiscard]] double all_reduce_s(double bytes) { return all_reduce_plan_->closed_s(bytes); }
  [[nodiscard]] double all_gather_s(double bytes) { return gather_plan_->closed_s(bytes); }
  [[nodiscard]] std::string label(std::int64_t offset, std::int64_t elements) const;
  /// Adds this job's collectives to the totals by endpoint and link.
  void add_totals(std::vector<double>& sent, std::vector<double>& messages,
                  std::vector<double>& links) const;
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
  void step_passed(WorkerRuntime& worker, std::int64_t completed);
  void worker_ended();
  void wire_changed(bool on) override;

  /// An evaluation after a step: each worker's weights and state as it passes that border, whatever
  /// the others do meanwhile. Costs no simulated time.
  struct Evaluation {
    std::vector<Tensor> models;  ///< by worker; when all have passed also the servers' shards
    std::vector<Floats> states;  ///< by worker: batch-norm statistics
    std::vector<TaskGraph::Ref> after;
    std::shared_ptr<TrainingLog::Evaluated> point;
  };
  [[nodiscard]] bool evaluated(std::int64_t step) const;
  void take_model(WorkerRuntime& worker, Evaluation& evaluation);
  void evaluate(Evaluation evaluation);
  void post_evaluation(Evaluation evaluation);  ///< when all its models are computed

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
  std::unique_ptr<PreparedPlan> all_reduce_plan_, gather_plan_, gtop_k_plan_, barrier_plan_;
  WireTime wire_;  // of the collectives, which all workers are in together
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::uint32_t> passed_;  // ring: how many workers have passed border base + i
  std::int64_t passed_base_ = 1;
  IterationLog log_;
  std::size_t running_ = 0;
  double end_date_ = 0;

  // Values
  TaskGraph* graph_;
  std::unique_ptr<TrainingMetrics> metrics_;  // null in time-only runs
  BufferRef initial_;
  std::vector<double> step_dates_;
  std::map<std::int64_t, Evaluation> open_evaluations_;  // by step, until the last worker is there
  std::vector<std::shared_ptr<TrainingLog::Evaluated>> evaluations_;
  TaskGraph::Ref last_evaluation_;
};

}  // namespace paceline
