#include <utility>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_barrier(std::uint32_t ranks) {
  Plan plan{"barrier", ranks, {}};
  std::uint32_t stage = 0;
  for (std::uint32_t distance = 1; distance < ranks; distance *= 2) {
    PlanRound round{1, stage++, false, {}};
    for (std::uint32_t r = 0; r < ranks; ++r)
      round.messages.push_back({r, (r + distance) % ranks, 0.0});
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

}  // namespace paceline
