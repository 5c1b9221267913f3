#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/bounds.hpp"
#include "experiments/experiment.hpp"
#include "experiments/result.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// A job ready to run.
struct PreparedJob : JobRecord {
  JobSpec spec;
  std::string model_title;
  std::vector<double> slowness;  ///< by rank: time of its step over that of the profile's batch
  double relative_uncertainty = 0;
  double fastest = 1;  ///< speed of the fastest GPU over the first one's at speed 1
  double speeds = 0;   ///< sum over the GPUs of their speed over the fastest one's
  std::vector<std::string> warnings;
};

struct Prepared {
  SimulationSpec simulation;
  std::vector<PreparedJob> jobs;
};

/// Looks up the costs, makes the cluster and the schedules. Throws InputError for what does not fit
/// together: profile and model, options and schedule, a schedule with servers on a cluster without.
Prepared prepare(const Experiment& experiment);

/// A warning where the job has too few steps for its schedule's warm-up and a cycle after it.
std::optional<std::string> warm_up_warning(const JobSpec& spec);

/// What the job's bounds are made of, on an undisturbed cluster.
BoundInputs bound_inputs(const PreparedJob& job, const Cluster& cluster);

}  // namespace paceline
