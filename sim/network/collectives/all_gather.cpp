#include <algorithm>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_all_gather(std::uint32_t ranks) {
  Plan plan = plan_ring(ranks);
  plan.name = "ring all-gather";
  for (PlanRound& round : plan.rounds) round.repeat = static_cast<std::int64_t>(ranks) - 1;
  return plan;
}

Plan plan_reduce_scatter(std::uint32_t ranks) {
  Plan plan = plan_all_gather(ranks);
  plan.name = "ring reduce-scatter";
  return plan;
}

Plan plan_bruck_all_gather(std::uint32_t ranks) {
  Plan plan{"Bruck all-gather", ranks, {}};
  std::uint32_t stage = 0;
  for (std::uint32_t have = 1; have < ranks; have *= 2) {
    const double share = static_cast<double>(std::min(have, ranks - have)) / ranks;
    PlanRound round{1, stage++, false, {}};
    for (std::uint32_t r = 0; r < ranks; ++r)
      round.messages.push_back({r, (r + ranks - have) % ranks, share});
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

Plan plan_neighbour_all_gather(std::uint32_t ranks) {
  if (ranks % 2 != 0) return plan_all_gather(ranks);
  Plan plan{"neighbour-exchange all-gather", ranks, {}};
  for (std::uint32_t k = 0; k < ranks / 2; ++k) {
    PlanRound round{1, k, false, {}};
    const double share = (k == 0 ? 1.0 : 2.0) / ranks;
    for (std::uint32_t r = 0; r < ranks; ++r)  // even ranks to the right first, then to the left
      round.messages.push_back({r, ((r + k) % 2 == 0 ? r + 1 : r + ranks - 1) % ranks, share});
    plan.rounds.push_back(std::move(round));
  }
  return plan;
}

}  // namespace paceline
