#pragma once

#include <string>
#include <vector>

#include "algorithms/schedule.hpp"
#include "experiments/experiment.hpp"
#include "experiments/result.hpp"
#include "platforms/cluster.hpp"

namespace paceline {

/// What one GPU of each kind holds, by the law of docs/memory.md: weights, gradients and optimiser
/// state (of a sharded schedule 1/N of them, and the units that are whole), the peak of activations,
/// the schedule's own copies, and what the framework takes: its context, and a copy of the weights
/// where the stack says so. Empty if the batch is not known.
std::vector<MemoryUse> memory_uses(const JobDescription& job, const Stack& stack,
                                   const Cluster& cluster, const Schedule& schedule);
/// "does not fit: ...", naming the largest share, for those that do not.
std::vector<std::string> memory_warnings(const std::vector<MemoryUse>& uses,
                                         const JobDescription& job);

/// One standard deviation of memory_uses() over what is measured.
[[nodiscard]] double memory_sigma();

}  // namespace paceline
