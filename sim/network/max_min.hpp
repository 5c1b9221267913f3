#pragma once

#include <cstdint>
#include <vector>

namespace paceline {

/// One fluid flow: its size and the links it crosses.
struct FluidFlow {
  double bytes = 0;
  std::vector<std::uint32_t> links;
};

/// Seconds until the last of `flows` is through, all starting together on otherwise idle links and
/// sharing them max-min fairly (progressive filling; Bertsekas and Gallager, Data Networks, 6.5.2).
/// `bandwidth`: by link, bytes/s.
double max_min_time(std::vector<FluidFlow> flows, const std::vector<double>& bandwidth);

}  // namespace paceline
