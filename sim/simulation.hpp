#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/job_figures.hpp"
#include "sim/job_spec.hpp"
#include "sim/link_use.hpp"
#include "sim/network/engine.hpp"
#include "sim/network/message_sizes.hpp"
#include "sim/network/transport.hpp"
#include "sim/time/time_account.hpp"
#include "sim/trace.hpp"
#include "sim/training_log.hpp"
#include "sim/values/checkpoint.hpp"
#include "sim/values/training_metrics.hpp"

namespace paceline {

struct SimulationSpec {
  std::shared_ptr<const Cluster> cluster;
  std::vector<JobSpec> jobs;  ///< all start at date 0; the run ends when the first one has
  Fidelity fidelity = Fidelity::automatic;
  NetworkEngine network = NetworkEngine::automatic;  ///< at flow and step fidelity
  std::size_t threads = 0;  ///< of the host, for values; 0: the simulation's own
  std::optional<CheckpointOptions> checkpoints;  ///< of a run with values
  bool extrapolate = true;                       ///< stop when a steady state is recognised
  /// With values: called after every iteration of the first job.
  std::function<void(const TrainingProgress&)> progress{};
};

struct JobResult : JobFigures {
  std::string name;
  Account per_iteration;  ///< mean over workers, per iteration
  MessageSizes message_sizes = MessageSizes::fixed;
  // Per iteration
  double fastest_compute_s = 0;  ///< least compute of a worker
  double slowest_compute_s = 0;  ///< most: a floor
  double compute_floor_s = 0;    ///< slowest_compute_s; asynchronous: the workers' harmonic mean
  double measured_steps = 0;     ///< what the figures per iteration are the mean of
  std::vector<double> worker_iteration_s;  ///< per worker: its own time
  std::vector<double>
      worker_busy;       ///< per worker: share of the time that its compute stream is busy
  TrainingLog training;  ///< with values
};

struct SimulationResult {
  std::vector<JobResult> jobs;
  Fidelity fidelity = Fidelity::closed;  ///< the one used
  std::string fidelity_reason;           ///< why `auto` chose it
  std::string network = kNoNetwork;      ///< the engine that carried shared links
  double flow_error_bound = 0;           ///< latency share of the collectives carried as flows
  std::uint64_t ignored_conflicts = 0;   ///< forced closed fidelity: shared links and changes of
                                         ///< bandwidth it is blind to
  std::uint64_t events = 0;              ///< fired by the clock
  std::vector<LinkUse> links;            ///< the most used ones first
  double end_date_s = 0;
};

/// Runs the simulation. Throws InputError if the schedule deadlocks or workers disagree on a
/// collective. With `network` simgrid, at flow and step fidelity, this uses the process's one SimGrid
/// engine: a second such call throws std::logic_error.
SimulationResult simulate(const SimulationSpec& spec, Recorder* recorder = nullptr);

}  // namespace paceline
