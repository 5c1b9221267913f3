#pragma once

#include <string>
#include <vector>

#include "experiments/experiment.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// What a run's "x S-SGD" is measured against.
struct Baseline {
  std::vector<Experiment> experiments;  ///< the fastest of them counts; empty: none
  /// Worth a comparison, but not a simulation of its own: for a run of S-SGD that asks for nothing.
  bool only_if_run = false;
};

/// The experiment with S-SGD for the schedule of its first job: with the buckets of PyTorch DDP, or
/// as the experiment's "baseline" says; without training.
Baseline baseline_of(const Experiment& experiment);

/// Reads "baseline": "none", "best" (of all merging rules of S-SGD), a rule, or an S-SGD schedule
/// with its options. Returns "none", "best" or a schedule. Throws InputError.
Json read_baseline(const Json& value, const std::string& file);

/// The first job's schedule as an option: "s-sgd:overlap=ddp".
std::string schedule_option(const Experiment& experiment);

/// Adds what a baseline of so many seconds an iteration says.
void compare_with_baseline(RunResult& result, const std::string& baseline, double baseline_s);

}  // namespace paceline
