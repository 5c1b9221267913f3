#pragma once

#include <vector>

#include "sim/network/communication.hpp"
#include "sim/network/prepared_plan.hpp"

namespace paceline {

/// What a collective of a job's GPUs, by rank, sends and takes on the cluster: the run and the
/// bounds ask this.
PreparedPlan prepare_collective(CollectiveKind kind, const AllReduceOptions& all_reduce,
                                const std::vector<Endpoint>& gpus, const Cluster& cluster);

}  // namespace paceline
