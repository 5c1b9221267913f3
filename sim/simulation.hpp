#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/job.hpp"
#include "sim/link_use.hpp"
#include "sim/network/transport.hpp"
#include "sim/trace.hpp"
#include "sim/values/checkpoint.hpp"

namespace paceline {

struct SimulationSpec {
  std::shared_ptr<const Cluster> cluster;
  std::vector<JobSpec> jobs;  ///< all start at date 0; the run ends when the first one has
  Fidelity fidelity = Fidelity::automatic;
  std::size_t threads = 0;  ///< of the host, for values; 0: the simulation's own
  std::optional<CheckpointOptions> checkpoints;  ///< of a run with values
  bool extrapolate = true;                       ///< stop when a steady state is recognised
  /// With values: called after every iteration of the first job.
  std::function<void(const TrainingProgress&)> progress{};
};

struct JobResult {
  std::string name;
  std::size_t workers = 0;
  double iteration_time_s = 0;                ///< mean over the measured iterations
  double median_s = 0, p25_s = 0, p75_s = 0;  ///< of single iterations
  double total_time_s = 0;                    ///< of all steps, the extrapolated ones included
  std::int64_t steps = 0;
  std::int64_t simulated_steps = 0;
  std::int64_t measured_from = 0;
  Account per_iteration;      ///< mean over workers, per iteration
  double rounds = 0;          ///< communication rounds per worker, over all steps
  double sent_bytes = 0;      ///< per worker and iteration (mean)
  double sent_bytes_max = 0;  ///< of the worker that sends most
  double messages = 0;        ///< per worker and iteration (mean)
  MessageSizes message_sizes = MessageSizes::fixed;
  double fastest_compute_s =
      0;  ///< floors: least compute of a worker in its measured iterations, per iteration
  double slowest_compute_s = 0;
  double head_start_s = 0;  ///< most that a worker's measured iterations began early, per iteration
  TrainingLog training;     ///< with values
  std::vector<double> worker_iteration_s;  ///< per worker: its own measured time per iteration
};

struct SimulationResult {
  std::vector<JobResult> jobs;
  Fidelity fidelity = Fidelity::closed;  ///< the one used
  std::string fidelity_reason;           ///< why `auto` chose it
  double flow_error_bound = 0;           ///< latency share of the collectives carried as flows
  std::uint64_t ignored_conflicts = 0;   ///< forced closed fidelity: shared links and changes of
                                         ///< bandwidth it is blind to
  std::size_t in_flight = 0;             ///< transfers counted in `links` and not over at the end
  std::uint64_t events = 0;              ///< fired by the clock
  std::vector<LinkUse> links;            ///< the most used ones first
  double end_date_s = 0;
};

/// Runs the simulation. Throws InputError if the schedule deadlocks or workers disagree on a
/// collective. At flow and step fidelity this uses the process's one SimGrid engine: a second such
/// call throws std::logic_error.
SimulationResult simulate(const SimulationSpec& spec, Recorder* recorder = nullptr);

}  // namespace paceline
