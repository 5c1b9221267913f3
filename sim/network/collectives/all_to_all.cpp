#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_all_to_all(std::uint32_t ranks) {
  Plan plan{"pairwise all-to-all", ranks, {}};
  for (std::uint32_t k = 1; k < ranks; ++k) {
    PlanRound round{1, k - 1, false, {}};
    for (std::uint32_t r = 0; r < ranks; ++r)
      round.messages.push_back({r, (r + k) % ranks, 1.0 / ranks});
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

}  // namespace paceline
