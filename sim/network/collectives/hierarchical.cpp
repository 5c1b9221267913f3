#include <set>

#include "base/error.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {
namespace {

Plan plan(const AllReduceOptions&, const std::vector<std::uint32_t>& node_of) {
  const auto ranks = static_cast<std::uint32_t>(node_of.size());
  std::uint32_t per_node = 1;
  while (per_node < ranks && node_of[per_node] == node_of[0]) ++per_node;
  // The ranks of a node must be one run, and all runs equally long.
  std::set<std::uint32_t> seen;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    const std::uint32_t first = r / per_node * per_node;
    if (ranks % per_node != 0 || node_of[r] != node_of[first] ||
        (r == first && !seen.insert(node_of[r]).second))
      throw InputError(
          "hierarchical all-reduce needs the same number of GPUs on every node, in consecutive "
          "ranks");
  }
  return plan_hierarchical(ranks / per_node, per_node);
}

}  // namespace

Plan plan_hierarchical(std::uint32_t nodes, std::uint32_t per_node) {
  Plan plan{"hierarchical", nodes * per_node, {}};
  const auto intra = [&](std::uint32_t stage) {
    if (per_node < 2) return;
    PlanRound round{static_cast<std::int64_t>(per_node) - 1, stage, false, {}};
    for (std::uint32_t n = 0; n < nodes; ++n)
      for (std::uint32_t l = 0; l < per_node; ++l)
        round.messages.push_back(
            {n * per_node + l, n * per_node + (l + 1) % per_node, 1.0 / per_node});
    plan.rounds.push_back(std::move(round));
  };
  intra(0);
  if (nodes > 1) {
    PlanRound round{2 * (static_cast<std::int64_t>(nodes) - 1), 1, per_node > 1, {}};
    for (std::uint32_t n = 0; n < nodes; ++n)
      for (std::uint32_t l = 0; l < per_node; ++l)
        round.messages.push_back({n * per_node + l, (n + 1) % nodes * per_node + l,
                                  1.0 / (static_cast<double>(nodes) * per_node)});
    plan.rounds.push_back(std::move(round));
  }
  intra(2);
  return plan;
}

extern const AllReduceAlgorithm kHierarchical;
constinit const AllReduceAlgorithm kHierarchical{"hierarchical", plan};

}  // namespace paceline
