#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "tests/sim/plan_replay.hpp"

namespace paceline {
namespace {

TEST(Plans, HierarchicalSumsEverySegmentEverywhere) {
  for (const auto& shape : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {1, 1}, {1, 4}, {4, 1}, {2, 2}, {4, 4}, {2, 8}, {3, 5}, {7, 3}}) {
    const std::uint32_t nodes = shape.first, per_node = shape.second;
    const Plan plan = plan_hierarchical(nodes, per_node);
    expect_single_ported(plan);
    const std::uint32_t n = nodes * per_node;
    Replay replay(n, n);  // segment l of a node's GPUs in `nodes` parts
    const auto rounds = unrolled(plan);
    const std::uint32_t inside = per_node - 1, between = 2 * (nodes - 1);
    ASSERT_EQ(rounds.size(), 2 * inside + between);
    const auto local = [per_node](std::uint32_t r) { return r % per_node; };
    const auto node = [per_node](std::uint32_t r) { return r / per_node; };
    for (std::size_t k = 0; k < rounds.size(); ++k) {
      const bool on_network = k >= inside && k < inside + between;
      if (on_network) {
        replay_ring_round(*rounds[k], static_cast<std::int64_t>(k - inside), nodes, 1.0 / n, node,
                          [&](const PlanMessage& m, std::uint32_t part, Receipt receipt) {
                            EXPECT_EQ(local(m.from), local(m.to));
                            const std::uint32_t owned = (local(m.from) + 1) % per_node;
                            replay.move(m.from, m.to, owned * nodes + part, receipt);
                          });
      } else {
        // The second half of the inner ring's rounds comes after the network's.
        const std::size_t inner = k < inside ? k : k - between;
        replay_ring_round(*rounds[k], static_cast<std::int64_t>(inner), per_node, 1.0 / per_node,
                          local, [&](const PlanMessage& m, std::uint32_t segment, Receipt receipt) {
                            EXPECT_EQ(node(m.from), node(m.to));
                            for (std::uint32_t part = 0; part < nodes; ++part)
                              replay.move(m.from, m.to, segment * nodes + part, receipt);
                          });
      }
      replay.end_round();
    }
    EXPECT_TRUE(replay.everyone_has_everything()) << nodes << " x " << per_node;
  }
}

TEST(Plans, HierarchicalOnUnequalNodesSumsThroughTheirFirstRanks) {
  struct Shape {
    std::vector<std::uint32_t> node_of;
    std::uint32_t nodes, longest;
  };
  for (const Shape& shape : {Shape{{0, 0, 0, 0, 1, 1}, 2, 4}, Shape{{0, 1, 1, 1}, 2, 3},
                             Shape{{2, 0, 2, 1, 2, 0, 1, 2}, 3, 4}, Shape{{0, 1, 2, 2}, 3, 2}})
    for (const std::int64_t pieces : {1, 3, 8}) {
      AllReduceOptions options;
      options.algorithm = AllReduce::hierarchical;
      options.chunks = pieces;
      const Plan plan = plan_all_reduce(options, shape.node_of);
      expect_single_ported(plan);
      const auto n = static_cast<std::uint32_t>(shape.node_of.size());
      ASSERT_EQ(plan.ranks, n);
      // Nodes in the order of their first ranks.
      std::map<std::uint32_t, std::uint32_t> place_of;
      for (const std::uint32_t node : shape.node_of)
        place_of.try_emplace(node, static_cast<std::uint32_t>(place_of.size()));
      const std::size_t p = static_cast<std::size_t>(pieces), m = shape.nodes;
      Replay replay(n, p * m);  // a piece of a chain is m of them, a part of the ring p
      const auto rounds = unrolled(plan);
      const std::size_t inside = shape.longest - 2 + p, between = 2 * (m - 1);
      ASSERT_EQ(rounds.size(), 2 * inside + between);
      std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> sent;
      for (std::size_t k = 0; k < rounds.size(); ++k) {
        if (k >= inside && k < inside + between) {
          replay_ring_round(
              *rounds[k], static_cast<std::int64_t>(k - inside), shape.nodes, 1.0 / shape.nodes,
              [&](std::uint32_t r) { return place_of[shape.node_of[r]]; },
              [&](const PlanMessage& message, std::uint32_t part, Receipt receipt) {
                for (std::size_t s = part * p; s < (part + 1) * p; ++s)
                  replay.move(message.from, message.to, s, receipt);
              });
        } else {
          for (const PlanMessage& message : rounds[k]->messages) {
            EXPECT_EQ(shape.node_of[message.from], shape.node_of[message.to]);
            EXPECT_DOUBLE_EQ(message.share, 1 / static_cast<double>(pieces));
            const std::size_t piece = sent[{message.from, message.to}]++;
            for (std::size_t s = piece * m; s < (piece + 1) * m; ++s)
              replay.move(message.from, message.to, s,
                          k < inside ? Receipt::add : Receipt::overwrite);
          }
        }
        replay.end_round();
      }
      EXPECT_TRUE(replay.everyone_has_everything()) << n << " ranks, " << pieces << " pieces";
    }
}

}  // namespace
}  // namespace paceline
