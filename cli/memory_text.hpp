#pragma once

#include <string>

#include "experiments/result.hpp"

namespace paceline {

/// What one GPU of each kind holds, and of what that is made: a line each, newline included.
std::string memory_lines(const JobOutcome& job);

}  // namespace paceline
