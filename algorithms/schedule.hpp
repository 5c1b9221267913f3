#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/bounds.hpp"
#include "algorithms/worker.hpp"

namespace paceline {

class Server;

/// How one communication stream of the workers orders its collectives.
struct ChannelOptions {
  /// false: in the order of each worker's calls. true: by a coordinator, as Horovod and
  /// ByteScheduler do: what all workers have asked for, highest priority first.
  bool coordinated = false;
  double negotiation_s = 0;  ///< coordinator's cost before each start
  double cycle_s = 0;        ///< coordinator looks only at multiples of this; 0: at once
  double fusion_bytes = 0;   ///< asked-for tensors are fused up to this size; 0: never
};

/// A schedule with its options filled in: ready to run, and to be bounded.
struct Schedule {
  std::string name;         ///< as in the registry
  std::string description;  ///< one line with the options that matter
  std::function<Program(Worker&)> worker;
  std::function<Program(Server&)> server;  ///< empty: runs without parameter servers
  std::function<std::vector<PaperBound>(const BoundInputs&)> bounds;
  /// Least time on the wire of one iteration, without latency; empty: not known before the run.
  std::function<double(const BoundInputs&)> wire_s;
  std::vector<ChannelOptions> streams{ChannelOptions{}};
  std::int64_t cycle = 1;    ///< steps after which it repeats itself
  std::int64_t warm_up = 0;  ///< first steps that are not measured
  /// With a warm-up: the last cycle is not like the others either, because what was under way comes
  /// home.
  bool drains = true;
  bool synchronous = true;           ///< false: never extrapolated
  std::optional<Selector> selector;  ///< of its own sparsification; none: the run's
  std::string rounds_formula;        ///< communication rounds against T and N, with its source
  /// What it keeps on the GPU besides weights, gradient and optimiser state, in model sizes (1 =
  /// one fp32 copy).
  double extra_copies = 0;
  /// What of weights, gradient and optimiser state a worker keeps its share of only, 1/N.
  struct Sharded {
    bool weights = false, gradient = false, optimizer = false;
  };
  Sharded sharded;
  /// Subtracts its mean from the weights itself: momentum, weight decay and clipping of the run's
  /// optimiser do not act.
  bool own_update = false;
};

}  // namespace paceline
