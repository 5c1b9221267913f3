#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/model_shape.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "experiments/experiment.hpp"
#include "experiments/result.hpp"
#include "platforms/cluster.hpp"

namespace paceline {

/// What one kind of GPU takes for a micro-batch of a job, from its profile.
struct DeviceCosts {
  ModelShape shape;
  std::shared_ptr<const OperationCosts> operations;
  std::string profile_device, profile_precision;
  ProfileUse use;         ///< but for `workers`
  double overhead_s = 0;  ///< per micro-batch: the host's launching, and waiting for input
  std::optional<double> p25_over_median, p75_over_median;
};

/// Costs by kind of GPU among the job's. Every kind has its own where the profile is analytic or
/// given by GPU; else the one profile serves all, and the cluster's `speed` says how they differ.
/// Throws InputError for a missing or unfitting profile or batch.
std::map<std::string, DeviceCosts> costs_by_gpu(const JobDescription& job, const Cluster& cluster);

/// "the profile is of a X, the cluster has Y", also of a CPU or a card that gpus.hpp does not have.
/// Likewise of its precision, and of values, which are fp32.
std::vector<std::string> profile_warnings(const std::map<std::string, DeviceCosts>& by_gpu,
                                          const JobDescription& job);

}  // namespace paceline
