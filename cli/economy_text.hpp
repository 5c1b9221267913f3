#pragma once

#include <string>

#include "experiments/result.hpp"

namespace paceline {

/// How much of a job's communication is hidden, and behind what; it must have an overlap with an efficiency.
std::string overlap_text(const JobOutcome& job);
std::string cost_text(const Cost& cost);
std::string energy_text(const Energy& energy);

}  // namespace paceline
