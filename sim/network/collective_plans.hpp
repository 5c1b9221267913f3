#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <utility>
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
  /// All-gathers of sparse blocks are rings, or follow Open MPI's fixed rule where the stack says so. Reduce-scatters and
  /// dense all-gathers are rings, broadcasts a chain or a tree, whichever closed form is shorter. `root`: of a broadcast.
  [[nodiscard]] PreparedPlan& of(CollectiveKind kind, double bytes, std::uint32_t root = 0) const;
  /// Those that have been asked for, and those that every job has.
  [[nodiscard]] const std::vector<std::unique_ptr<PreparedPlan>>& all() const { return plans_; }

 private:
  /// What a kind of collective does for small messages.
  struct Small {
    PreparedPlan* plan = nullptr;  // null: as for others
    std::optional<double> below;   // bytes; none: where its closed form is shorter
  };
  /// Of the kinds that few schedules use, made when first asked for.
  struct Rare {
    PreparedPlan *plan, *small;  // small: null unless there are two
  };
  PreparedPlan* add(const Plan& plan) const;
  Rare make_rare(CollectiveKind kind, std::uint32_t root) const;
  PreparedPlan& rare(CollectiveKind kind, double bytes, std::uint32_t root) const;

  const std::vector<Endpoint> gpus_;
  const Cluster& cluster_;
  mutable std::vector<std::unique_ptr<PreparedPlan>>
      plans_;                   // by kind, those of small messages, rare ones
  std::array<Small, 4> small_;  // by kind, of those that every job has
  mutable std::map<std::pair<CollectiveKind, std::uint32_t>, Rare> rare_;  // and root
};

}  // namespace paceline
