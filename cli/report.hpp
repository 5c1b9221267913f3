#pragma once

#include <string>

#include "experiments/compare.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// For a person: the answer first, then where the time goes, bounds, traffic, memory, provenance.
std::string run_report(const RunResult& result);
/// One row per combination, grouped by the first axis.
std::string comparison_report(const Comparison& comparison);
/// The same figures as plain numbers in base units, one line each.
std::string comparison_csv(const Comparison& comparison);

/// Lines about bounds and floors; `simulated_s`: compare with it, 0: there is nothing to compare.
std::string bounds_report(const std::vector<Floor>& floors,
                          const std::vector<EvaluatedBound>& bounds, double simulated_s);

/// Seconds with the unit that `scale_s` wants and three to four digits: "412.7 ms".
std::string seconds_like(double seconds, double scale_s);

}  // namespace paceline
