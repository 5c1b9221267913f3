#include <algorithm>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_chain_broadcast(std::uint32_t ranks, std::uint32_t root, std::int64_t pieces) {
  Plan plan{"chain broadcast", ranks, {}};
  if (ranks < 2) return plan;
  const auto hops = static_cast<std::int64_t>(ranks) - 1;
  const double share = 1 / static_cast<double>(pieces);
  for (std::int64_t k = 0; k < hops - 1 + pieces; ++k) {  // piece k - hop is on each hop
    PlanRound round{1, 0, false, {}};
    const std::int64_t last = std::min(hops - 1, k);
    for (std::int64_t hop = std::max<std::int64_t>(0, k - pieces + 1); hop <= last; ++hop) {
      const auto from = static_cast<std::uint32_t>((root + hop) % ranks);
      round.messages.push_back({from, (from + 1) % ranks, share});
    }
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

Plan plan_tree_broadcast(std::uint32_t ranks, std::uint32_t root) {
  Plan plan{"tree broadcast", ranks, {}};
  std::uint32_t stage = 0, top = 1;
  while (top < ranks) top *= 2;
  for (std::uint32_t distance = top / 2; distance >= 1; distance /= 2) {
    PlanRound round{1, stage++, false, {}};
    for (std::uint32_t r = 0; r + distance < ranks; r += 2 * distance)
      round.messages.push_back({(root + r) % ranks, (root + r + distance) % ranks, 1.0});
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

}  // namespace paceline
