#pragma once

#include <vector>

#include "mpi/world.hpp"

namespace paceline {

struct TimedMessage {
  double bytes = 0, seconds = 0;  ///< median over the repetitions
};

// Sizes from 8 B to `most_bytes` by factors of two, each for about `seconds`. All ranks call, at
// least two; the result is on rank 0.

/// A message from rank 0 to rank 1, as this program sends them: half of the way there and back.
std::vector<TimedMessage> ping_pong(const World& world, double most_bytes, double seconds);

/// All-reduces of so many bytes: the messages of a ring of all ranks, without sums. `pause_s`: of
/// every rank before each, as a computation would be.
std::vector<TimedMessage> ring_all_reduces(const World& world, double most_bytes, double seconds,
                                           double pause_s);

}  // namespace paceline
