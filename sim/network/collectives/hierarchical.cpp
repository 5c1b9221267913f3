#include <set>

#include "base/error.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {
namespace {

// Ranks of each node. Those of a node must be one run, and all runs equally long.
std::uint32_t ranks_per_node(const std::vector<std::uint32_t>& node_of) {
  const auto ranks = static_cast<std::uint32_t>(node_of.size());
  std::uint32_t per_node = 1;
  while (per_node < ranks && node_of[per_node] == node_of[0]) ++per_node;
  std::set<std::uint32_t> seen;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    const std::uint32_t first = r / per_node * per_node;
    if (ranks % per_node != 0 || node_of[r] != node_of[first] ||
        (r == first && !seen.insert(node_of[r]).second))
      throw InputError(
          "hierarchical all-reduce needs the same number of GPUs on every node, in consecutive "
          "ranks");
  }
  return per_node;
}

// Inside the nodes, between those of equal local rank as `between` has it for nodes, and inside.
Plan around(const Plan& between, std::uint32_t per_node, const char* name) {
  const std::uint32_t nodes = between.ranks;
  Plan plan{name, nodes * per_node, {}};
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
  std::uint32_t last = 0;
  for (const PlanRound& of_nodes : between.rounds) {
    PlanRound round{of_nodes.repeat, last = of_nodes.stage + 1, per_node > 1, {}};
    for (const PlanMessage& m : of_nodes.messages)
      for (std::uint32_t l = 0; l < per_node; ++l)
        round.messages.push_back({m.from * per_node + l, m.to * per_node + l, m.share / per_node});
    plan.rounds.push_back(std::move(round));
  }
  intra(last + 1);
  return plan;
}

Plan rings(const AllReduceOptions&, const std::vector<std::uint32_t>& node_of) {
  const std::uint32_t per_node = ranks_per_node(node_of);
  return plan_hierarchical(static_cast<std::uint32_t>(node_of.size()) / per_node, per_node);
}

Plan trees(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  const std::uint32_t per_node = ranks_per_node(node_of);
  return plan_hierarchical_tree(static_cast<std::uint32_t>(node_of.size()) / per_node, per_node,
                                options.chunks);
}

}  // namespace

Plan plan_hierarchical(std::uint32_t nodes, std::uint32_t per_node) {
  return around(plan_ring(nodes), per_node, "hierarchical");
}

Plan plan_hierarchical_tree(std::uint32_t nodes, std::uint32_t per_node, std::int64_t chunks) {
  return around(plan_double_binary_tree(nodes, chunks), per_node, "hierarchical tree");
}

extern const AllReduceAlgorithm kHierarchical{3, "hierarchical", rings};
extern const AllReduceAlgorithm kHierarchicalTree{4, "hierarchical_tree", trees};

}  // namespace paceline
