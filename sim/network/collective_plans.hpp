#pragma once

#include <memory>
#include <vector>

#include "platforms/stack.hpp"
#include "sim/network/communication.hpp"
#include "sim/network/prepared_plan.hpp"

namespace paceline {

/// What the collectives of a job's GPUs, by rank, send and take on the cluster: the run and the
/// bounds ask this.
class CollectivePlans {
 public:
  CollectivePlans(const AllReduceOptions& all_reduce, const Stack& stack,
                  const std::vector<Endpoint>& gpus, const Cluster& cluster);

  /// Of so many bytes. An all-reduce `auto` takes the tree below the stack's `tree_below` and the
  /// ring from there on; where the stack says nothing, the one whose closed form is shorter.
  [[nodiscard]] PreparedPlan& of(CollectiveKind kind, double bytes) const;
  [[nodiscard]] const std::vector<std::unique_ptr<PreparedPlan>>& all() const { return plans_; }

 private:
  std::vector<std::unique_ptr<PreparedPlan>> plans_;  // by kind, then that of small all-reduces
  StackConstant tree_below_;
};

}  // namespace paceline
