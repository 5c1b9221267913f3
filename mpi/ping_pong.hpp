#pragma once

#include <vector>

#include "mpi/world.hpp"

namespace paceline {

/// A message from rank 0 to rank 1, as this program sends them: half of the way there and back.
struct PingPong {
  double bytes = 0, seconds = 0;  ///< median over the repetitions
};

/// Sizes from 8 B to `most_bytes` by factors of two, for about `seconds` each. All ranks call, at
/// least two; the result is on rank 0.
std::vector<PingPong> ping_pong(const World& world, double most_bytes, double seconds);

}  // namespace paceline
