#pragma once

#include <functional>
#include <optional>

#include "experiments/experiment.hpp"
#include "experiments/result.hpp"
#include "sim/trace.hpp"
#include "sim/values/checkpoint.hpp"
#include "sim/values/training_metrics.hpp"

namespace paceline {

struct Prepared;
struct SimulationResult;

/// Told after every iteration of a training.
using ProgressReport = std::function<void(const TrainingProgress&)>;

/// What goes on beside a run; changes no bit of its result.
struct RunAlongside {
  Recorder* recorder = nullptr;
  ProgressReport progress = {};
  std::optional<CheckpointOptions> checkpoints =
      {};                    ///< of the training; their identity is filled in
  bool uncertainty = true;   ///< the result has its sigma, which may take runs of moved inputs
  bool sensitivity = false;  ///< repeats the run with each uncertain input moved, whatever it costs
  unsigned parallel = 1;     ///< of those repeats
  bool layers = false;       ///< the result has its table by layer
};

/// What a run that was prepared so has come to. Throws InputError; checks no floor.
RunResult result_of(const Experiment& experiment, const Prepared& prepared,
                    const SimulationResult& run);

/// Runs one experiment in this process, which may do so only once if it needs SimGrid's engine
/// (isolated.hpp). The result has no speedup over S-SGD yet. Throws InputError, and CheckFailed if
/// the simulated time is below a floor.
RunResult run_alone(const Experiment& experiment, const RunAlongside& alongside = {});

/// run_alone with the speedup over its baseline, if it has one (baseline.hpp), which runs in child
/// processes.
RunResult run_experiment(const Experiment& experiment, const RunAlongside& alongside = {});

}  // namespace paceline
