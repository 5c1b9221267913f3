#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "mpi/carrier.hpp"
#include "mpi/messages.hpp"
#include "mpi/server_link.hpp"
#include "mpi/value_watch.hpp"
#include "mpi/world.hpp"
#include "sim/job_context.hpp"
#include "sim/server/runtime.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {

/// How a rank runs its part of a job.
struct RankOptions {
  AllReduceBy all_reduce = AllReduceBy::plan;
  bool replay = true;  ///< operations last as long as the profile says; else as their kernels take
  double timeout_s = 60;  ///< without anything happening
  Recorder* recorder = nullptr;
  const std::atomic<bool>* stop = nullptr;   ///< ends run() when it is set
  std::function<void(std::int64_t)> passed;  ///< told how many steps this worker has done
};

/// The run was told to stop: what this rank was doing.
class RankStopped : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What this rank has seen at a border between two iterations, s since the start.
struct RankBorder {
  double date_s = 0;
  Account account;
  double rounds = 0, bytes = 0, messages = 0;
};

/// One worker or parameter server of a job in real time: the simulator's on a clock that follows
/// the wall's, and what it sends over MPI. All ranks make one and run it: the workers come first.
class RankJob final : JobContext::Observer, StreamGate {
 public:
  RankJob(JobSpec spec, const Cluster& cluster, const World& world, const RankOptions& options);
  ~RankJob();
  RankJob(const RankJob&) = delete;
  RankJob& operator=(const RankJob&) = delete;

  /// Returns when this rank's program has ended and nothing of it is under way. Throws what the
  /// program throws; CheckFailed with what is outstanding if nothing happens for too long, RankStopped
  /// if it is to stop.
  void run();

  [[nodiscard]] const JobSpec& spec() const { return context_.spec; }
  [[nodiscard]] const std::vector<RankBorder>& borders() const { return borders_; }
  [[nodiscard]] double end_s() const { return end_s_; }
  /// Parts of the flat parameter vector that this server holds: offset and elements of each.
  [[nodiscard]] std::vector<double> shards() const;
  /// With values: what this rank's training has come to; of a server the weights of its shards.
  [[nodiscard]] std::vector<float> losses() const;
  [[nodiscard]] std::vector<float> parameters() const;
  [[nodiscard]] std::vector<float> state() const;

  /// How well the clock followed the wall's: events that were late because this process was not on
  /// a core, or busy; and the share of the run in which this thread was ready and had no core.
  struct Lateness {
    double mean_s = 0, most_s = 0, no_core = 0;
  };
  [[nodiscard]] Lateness lateness() const;

 private:
  using SteadyClock = std::chrono::steady_clock;

  void make_worker(std::uint32_t rank);
  void make_server(std::uint32_t index);
  void make_channels(std::uint32_t rank);
  [[nodiscard]] bool over() const;
  void step_passed(WorkerRuntime& worker, std::int64_t completed) override;
  void worker_ended() override;
  bool holds(Stream& stream) override;
  void catch_up();  // with the wall's clock
  [[nodiscard]] bool progress();
  void rest() const;  // until something may happen
  void check_stuck() const;
  [[nodiscard]] std::string doing() const;
  [[nodiscard]] double wall_s() const;

  const World& world_;
  RankOptions options_;
  Clock clock_;
  Transport transport_;
  std::unique_ptr<TaskGraph> graph_;
  Messages messages_;
  ValueWatch watch_;
  JobContext context_;
  std::vector<std::unique_ptr<RankCarrier>> carriers_;
  std::unique_ptr<RankServerLink> link_;   // with servers
  std::unique_ptr<WorkerRuntime> worker_;  // one of the two
  std::unique_ptr<ServerRuntime> server_;
  std::vector<RankBorder> borders_;
  SteadyClock::time_point start_, last_event_;
  bool ended_ = false;
  double end_s_ = 0;
  double late_sum_s_ = 0, late_most_s_ = 0;
  std::int64_t late_count_ = 0;
  double no_core_ = 0;
};

}  // namespace paceline
