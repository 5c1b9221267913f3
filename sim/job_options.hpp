#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platforms/spec.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {

/// What applies gradients: it keeps nothing, one or two numbers for each weight.
enum class Optimizer : std::uint8_t { sgd, momentum, adam };
constexpr int optimizer_slots(Optimizer optimizer) {
  return static_cast<int>(optimizer);
}

/// What a user says of a job and the simulator takes as it stands.
struct JobOptions {
  std::string name = "job";
  std::vector<Endpoint> gpus;     ///< by rank
  std::int64_t accumulation = 1;  ///< micro-batches per step
  AllReduceOptions all_reduce;
  double payload_bits = 32;  ///< per dense element on the wire
  Optimizer optimizer = Optimizer::momentum;
  double start_s = 0;             ///< date on the cluster's clock at which it begins
  double slow_while_sending = 0;  ///< CoCoD's "a": share of compute lost while on the wire
};

}  // namespace paceline
