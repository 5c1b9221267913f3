#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/job_context.hpp"
#include "sim/measurement.hpp"
#include "sim/training_log.hpp"
#include "sim/values/evaluations.hpp"

namespace paceline {

/// The workers of one job, their channels, and what they report.
class Job final : WireTime::Listener, JobContext::Observer {
 public:
  class Listener {
   public:
    virtual void job_ended(Job& job) = 0;
    /// Every worker has passed the border before step `completed`.
    virtual void iteration_ended(Job& job, std::int64_t completed) = 0;
    /// Of all jobs up to now, where the links are measured with this job; else empty.
    virtual LinkTotals link_totals(const Job& job) = 0;

   protected:
    ~Listener() = default;
  };

  Job(JobSpec spec, const Cluster& cluster, Clock& clock, Transport& transport, Recorder* recorder,
      Listener& listener, TaskGraph* graph);
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void start();

  [[nodiscard]] const JobSpec& spec() const { return context_.spec; }
  [[nodiscard]] const IterationLog& log() const { return context_.log; }
  [[nodiscard]] Measurement& measurement() { return measurement_; }
  [[nodiscard]] const Measurement& measurement() const { return measurement_; }
  [[nodiscard]] JobTotals totals();
  /// To be called before the start.
  void log_layers(LayerLog& layers) { context_.layers = &layers; }
  /// What is measured is the cycle between these two, and only this many steps are simulated.
  void repeat(JobTotals first, JobTotals last, std::int64_t steps);
  /// Its accuracy is what was wanted: it ended before its steps.
  [[nodiscard]] bool reached() const { return reached_; }
  [[nodiscard]] bool ended() const { return running_ == 0; }
  [[nodiscard]] double end_date() const { return end_date_; }
  [[nodiscard]] const std::vector<std::unique_ptr<WorkerRuntime>>& workers() const {
    return workers_;
  }
  [[nodiscard]] std::string label(std::int64_t offset, std::int64_t elements) const;
  /// What a worker sent in this job's collectives while it was measured.
  struct Sent {
    double bytes = 0, messages = 0;
  };
  [[nodiscard]] Sent sent(std::uint32_t rank) const;
  /// Since the start, messages to servers included.
  [[nodiscard]] Sent sent_in_all(std::uint32_t rank) const;
  [[nodiscard]] MessageSizes message_sizes() const;
  /// Adds what this job's collectives have brought to each link so far.
  void add_links(LinkTotals& links) const;
  /// Who waits for what, for the deadlock report.
  [[nodiscard]] std::vector<std::string> describe_waiting() const;
  [[nodiscard]] std::size_t open_operations() const;
  /// With values: everything computed so far. Waits for it.
  [[nodiscard]] TrainingLog training_log() const;
  [[nodiscard]] TrainingProgress training_progress() const;

 private:
  void make_channels();
  [[nodiscard]] ChannelSoftware channel_software();
  void step_passed(WorkerRuntime& worker, std::int64_t completed) override;
  void border_passed(std::int64_t border);
  void worker_ended() override;
  void wire_changed(bool on) override;

  JobContext context_;
  Listener& listener_;
  std::vector<std::unique_ptr<WorkerRuntime>> workers_;
  std::vector<std::unique_ptr<ServerRuntime>> servers_;
  Measurement measurement_;
  std::vector<std::uint32_t> passed_;  // how many workers have passed border passed_base_ + i
  std::int64_t passed_base_ = 1;
  std::size_t running_ = 0;
  double end_date_ = 0;
  bool reached_ = false;

  // Values
  std::vector<double> step_dates_;
  std::unique_ptr<Evaluations> evaluations_;
};

}  // namespace paceline
