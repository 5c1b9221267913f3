#pragma once

#include <string>
#include <vector>

#include "experiments/compare.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// One part of where the time goes, in the order of reports.
struct TimePart {
  const char* name;
  double seconds;
};
std::vector<TimePart> parts_of(const TimeSplit& time);

/// For a person: the answer first, then where the time goes, bounds, traffic, memory, provenance.
/// `disturbed`: what disturbs the cluster (disturbances.hpp).
std::string run_report(const RunResult& result, const std::vector<std::string>& disturbed);
/// When each layer is computed and sent.
std::string layers_report(const LayerTable& table);
/// What one standard deviation of each uncertain input does, largest first.
std::string tornado(const JobOutcome& job);
/// One row per combination, grouped by the first axis.
std::string comparison_report(const Comparison& comparison);
/// The same figures as plain numbers in base units, one line each.
std::string comparison_csv(const Comparison& comparison);

/// Lines about bounds and floors; `run`: compare with it, null: there is nothing to compare.
std::string bounds_report(const std::vector<Floor>& floors,
                          const std::vector<EvaluatedBound>& bounds, const JobOutcome* run,
                          const Floor* reference = nullptr);

/// Seconds with the unit that `scale_s` wants and three to four digits: "412.7 ms".
std::string seconds_like(double seconds, double scale_s);

}  // namespace paceline
