#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platforms/spec.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {

/// What a user says of a job and the simulator takes as it stands.
struct JobOptions {
  std::string name = "job";
  std::vector<Endpoint> gpus;     ///< by rank
  std::int64_t accumulation = 1;  ///< micro-batches per step
  AllReduceOptions all_reduce;
  double payload_bits = 32;       ///< per dense element on the wire
  bool momentum = true;           ///< optimiser keeps one slot
  double start_s = 0;             ///< date on the cluster's clock at which it begins
  double slow_while_sending = 0;  ///< CoCoD's "a": share of compute lost while on the wire
};

}  // namespace paceline
