#pragma once

#include <string>
#include <vector>

namespace paceline {

/// What this program was called with, its own name left out; main() sets it.
std::vector<std::string>& command_line();

}  // namespace paceline
