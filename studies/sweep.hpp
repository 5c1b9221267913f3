#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "studies/store.hpp"
#include "studies/study.hpp"

namespace paceline {

struct SweepProgress {
  std::uint64_t done = 0, all = 0;  ///< points
  std::uint64_t found = 0;          ///< of those done: their result was there
  std::uint64_t failed = 0;         ///< of those done: there is none, and the store says why
  std::uint64_t simulations = 0;    ///< made, those of baselines among them
  std::string first_failure;        ///< labels and reason
};

struct SweepSettings {
  unsigned parallel = 1;  ///< points at a time
  std::function<void(const SweepProgress&)> progress{};
  /// Of the study's points only those whose number leaves `part` when divided by `parts`: a machine's share.
  std::uint64_t part = 0, parts = 1;
  std::uint64_t first = 0;  ///< those before it have been run
};

/// Whether it can be run in this process but once, or not beside others on threads.
bool needs_process(const Experiment& experiment);

/// Runs the points of a study that the store does not have, and keeps each as it is done. A point
/// runs on a thread of this process, except trainings and what needs SimGrid, which get processes
/// of their own. Results do not depend on `parallel`, nor on what ran before. An experiment that
/// cannot be run is kept as such and the others go on. Throws InputError if the store cannot be
/// written, and CheckFailed for the first point that is below a floor; what was done by then is
/// kept. To be called from a single-threaded process.
SweepProgress sweep(const Study& study, Store& store, const SweepSettings& settings);

}  // namespace paceline
