#pragma once

#include <string>
#include <string_view>

namespace paceline {

/// Throws InputError naming the element, "file: link 'a': bandwidth '-1GBps' must be greater than
/// zero and finite", for bandwidths, latencies and speeds of a SimGrid platform file that SimGrid
/// itself ends the process for, or computes with. Everything else is for SimGrid to say.
void check_platform_values(std::string_view xml, const std::string& file);

}  // namespace paceline
