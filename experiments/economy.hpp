#pragma once

#include <optional>

#include "experiments/prepare.hpp"
#include "experiments/result.hpp"
#include "platforms/cluster.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// By the prices of the cluster's file, of all of it, used or not, for as long as the job takes: what has
/// no price costs nothing. Absent where nothing has one.
std::optional<Cost> cost_of(const Cluster& cluster, const JobOutcome& job);

/// By the powers of the cluster's file. A GPU draws "busy" while its compute stream is, a port or link
/// in the share of its bandwidth that is used (mean of both directions), everything "idle" the whole
/// time: as SimGrid's energy plug-ins count hosts and links. Absent where no power is said.
std::optional<Energy> energy_of(const Cluster& cluster, const Prepared& prepared,
                                const SimulationResult& run, const JobOutcome& job);

}  // namespace paceline
