#pragma once

#include <string>

#include "experiments/compare.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// Loss and accuracy against cluster time, for a person.
std::string training_report(const JobOutcome& job);
/// One row per combination; empty unless one trained.
std::string training_comparison(const Comparison& comparison);
/// Over the seeds of a comparison: accuracy and time to the target, mean [least, most], and what
/// can be said against its first row. Empty if no two runs differ in the seed alone.
std::string seeds_report(const Comparison& comparison);
/// When each row reached its target accuracy; empty if none has a target.
std::string targets_report(const Comparison& comparison);
/// Every step and evaluation of every job that trained, as comma-separated values.
std::string metrics_csv(const RunResult& result);

}  // namespace paceline
