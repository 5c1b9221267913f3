#pragma once

#include <cstdint>
#include <vector>

#include "algorithms/worker.hpp"

namespace paceline {

/// What the first worker of a run computed, and the collectives, pushes and pulls it took part in,
/// with what they were about: what a table by layer is made of (experiments/layers.hpp). Dates in seconds.
struct LayerLog {
  /// One operation of the compute stream.
  struct Operation {
    Activity activity;
    double started, ended;
    double work;  ///< seconds at rate 1
  };
  /// One collective (`bytes` of it all), push or pull, for a range of the flat parameter vector.
  struct Transfer {
    std::int64_t offset, elements;
    double bytes;
    double started, ended;
  };
  std::vector<double> borders;  ///< [i]: it has done i steps
  std::vector<Operation> operations;
  std::vector<Transfer> transfers;
  std::int64_t measured_until = 0;  ///< the last border of the measured part
};

}  // namespace paceline
