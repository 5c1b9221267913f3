#pragma once

#include <functional>
#include <string>

#include "studies/sweep.hpp"

namespace paceline {

/// "mine: 84 points (96 combinations, 12 left out)".
std::string study_size(const Study& study);
/// "paceline-sweep-1": docs/sweep.md.
Json sweep_json(const Study& study, const std::string& store, const SweepProgress& progress);
/// What has been made, the fastest points, and what to ask next.
std::string sweep_summary(const Study& study, const std::string& file,
                          const SweepProgress& progress);
/// One line on a terminal: how far, how fast, and how long yet. An interrupt says what is kept in the store `file`.
std::function<void(const SweepProgress&)> sweep_progress(const std::string& file);
/// Throws InputError if there are points that cannot be run.
void complain_of_failed(const SweepProgress& progress, const std::string& file);

}  // namespace paceline
