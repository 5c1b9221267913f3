#include <algorithm>
#include <map>
#include <utility>

#include "sim/network/collectives/plan.hpp"

namespace paceline {
namespace {

// The ranks of each node in their order, nodes in the order of their first ranks.
using Nodes = std::vector<std::vector<std::uint32_t>>;

Nodes nodes_of(const std::vector<std::uint32_t>& node_of) {
  Nodes nodes;
  std::map<std::uint32_t, std::size_t> place;
  for (std::uint32_t r = 0; r < node_of.size(); ++r) {
    const auto at = place.try_emplace(node_of[r], nodes.size()).first;
    if (at->second == nodes.size()) nodes.emplace_back();
    nodes[at->second].push_back(r);
  }
  return nodes;
}

Nodes alike(std::uint32_t nodes, std::uint32_t per_node) {
  std::vector<std::uint32_t> node_of(std::size_t{nodes} * per_node);
  for (std::uint32_t r = 0; r < node_of.size(); ++r) node_of[r] = r / per_node;
  return nodes_of(node_of);
}

// What nodes send each other in `between`, by the ranks at this place in them, in `parts` parts.
void add_between(Plan& plan, const Plan& between, const Nodes& nodes, std::size_t parts) {
  const std::uint32_t first = plan.rounds.empty() ? 0 : plan.rounds.back().stage + 1;
  for (const PlanRound& of_nodes : between.rounds) {
    PlanRound round{of_nodes.repeat, first + of_nodes.stage, parts > 1, {}};
    for (const PlanMessage& m : of_nodes.messages)
      for (std::size_t l = 0; l < parts; ++l)
        round.messages.push_back(
            {nodes[m.from][l], nodes[m.to][l], m.share / static_cast<double>(parts)});
    plan.rounds.push_back(std::move(round));
  }
}

// Reduce-scatter inside the nodes, `between` for those of equal local rank, all-gather inside.
void add_by_parts(Plan& plan, const Plan& between, const Nodes& nodes) {
  const std::size_t per_node = nodes.empty() ? 1 : nodes.front().size();
  const auto inside = [&] {
    if (per_node < 2) return;
    PlanRound round{static_cast<std::int64_t>(per_node) - 1,
                    plan.rounds.empty() ? 0 : plan.rounds.back().stage + 1,
                    false,
                    {}};
    for (const auto& ranks : nodes)
      for (std::size_t l = 0; l < per_node; ++l)
        round.messages.push_back(
            {ranks[l], ranks[(l + 1) % per_node], 1 / static_cast<double>(per_node)});
    plan.rounds.push_back(std::move(round));
  };
  inside();
  add_between(plan, between, nodes, per_node);
  inside();
}

// Nodes of unequal size: down the chain of a node's ranks to its first in `pieces`, pipelined,
// `between` for the first ones, and up the chains again. So does Horovod where nodes are not alike.
void add_by_first_ranks(Plan& plan, const Plan& between, const Nodes& nodes, std::int64_t pieces) {
  const auto chains = [&](bool to_first) {
    const PlanRound none{1, plan.rounds.empty() ? 0 : plan.rounds.back().stage + 1, false, {}};
    std::vector<PlanRound> rounds;
    for (const auto& ranks : nodes) {
      const auto size = static_cast<std::uint32_t>(ranks.size());
      const auto rank = [&](std::uint32_t r) { return ranks[to_first ? size - 1 - r : r]; };
      const Plan chain = plan_chain_broadcast(size, 0, pieces);
      if (rounds.size() < chain.rounds.size()) rounds.resize(chain.rounds.size(), none);
      for (std::size_t k = 0; k < chain.rounds.size(); ++k)
        for (const PlanMessage& m : chain.rounds[k].messages)
          rounds[k].messages.push_back({rank(m.from), rank(m.to), m.share});
    }
    plan.rounds.insert(plan.rounds.end(), rounds.begin(), rounds.end());
  };
  chains(true);
  add_between(plan, between, nodes, 1);
  chains(false);
}

Plan around(const Plan& between, const Nodes& nodes, std::int64_t pieces, const char* name) {
  Plan plan{name, 0, {}};
  for (const auto& ranks : nodes) plan.ranks += static_cast<std::uint32_t>(ranks.size());
  const bool equal = std::all_of(nodes.begin(), nodes.end(), [&](const auto& ranks) {
    return ranks.size() == nodes.front().size();
  });
  if (equal)
    add_by_parts(plan, between, nodes);
  else
    add_by_first_ranks(plan, between, nodes, pieces);
  return plan;
}

Plan rings(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  const Nodes nodes = nodes_of(node_of);
  return around(plan_ring(static_cast<std::uint32_t>(nodes.size())), nodes, options.chunks,
                "hierarchical");
}

Plan trees(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  const Nodes nodes = nodes_of(node_of);
  return around(plan_double_binary_tree(static_cast<std::uint32_t>(nodes.size()), options.chunks),
                nodes, options.chunks, "hierarchical tree");
}

}  // namespace

Plan plan_hierarchical(std::uint32_t nodes, std::uint32_t per_node) {
  return around(plan_ring(nodes), alike(nodes, per_node), 1, "hierarchical");
}

Plan plan_hierarchical_tree(std::uint32_t nodes, std::uint32_t per_node, std::int64_t chunks) {
  return around(plan_double_binary_tree(nodes, chunks), alike(nodes, per_node), chunks,
                "hierarchical tree");
}

extern const AllReduceAlgorithm kHierarchical{3, "hierarchical", rings};
extern const AllReduceAlgorithm kHierarchicalTree{4, "hierarchical_tree", trees};

}  // namespace paceline
