#pragma once

#include <array>
#include <memory>
#include <optional>
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
  /// All-gathers are rings, or follow Open MPI's fixed rule where the stack says so.
  [[nodiscard]] PreparedPlan& of(CollectiveKind kind, double bytes) const;
  [[nodiscard]] const std::vector<std::unique_ptr<PreparedPlan>>& all() const { return plans_; }

 private:
  /// What a kind of collective does for small messages.
  struct Small {
    PreparedPlan* plan = nullptr;  // null: as for others
    std::optional<double> below;   // bytes; none: where its closed form is shorter
  };
  PreparedPlan* add(const Plan& plan, const std::vector<Endpoint>& gpus, const Cluster& cluster);

  std::vector<std::unique_ptr<PreparedPlan>> plans_;  // by kind, then those of small messages
  std::array<Small, 4> small_;                        // by kind
};

}  // namespace paceline
