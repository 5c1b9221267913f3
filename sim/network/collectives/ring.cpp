#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_ring(std::uint32_t ranks) {
  Plan plan{"ring", ranks, {}};
  if (ranks < 2) return plan;
  PlanRound round{2 * (static_cast<std::int64_t>(ranks) - 1), 0, false, {}};
  for (std::uint32_t r = 0; r < ranks; ++r)
    round.messages.push_back({r, (r + 1) % ranks, 1.0 / ranks});
  plan.rounds.push_back(std::move(round));
  return plan;
}

extern const AllReduceAlgorithm kRing{
    0, "ring", [](const AllReduceOptions&, const std::vector<std::uint32_t>& node_of) {
      return plan_ring(static_cast<std::uint32_t>(node_of.size()));
    }};

}  // namespace paceline
