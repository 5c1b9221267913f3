#include <utility>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_gtop_k(std::uint32_t ranks) {
  Plan plan{"gTop-k tree", ranks, {}};
  std::uint32_t stage = 0;
  std::vector<PlanRound> down;
  for (std::uint32_t distance = 1; distance < ranks; distance *= 2) {
    PlanRound up{1, stage++, false, {}}, back{1, 0, false, {}};
    for (std::uint32_t r = 0; r + distance < ranks; r += 2 * distance) {
      up.messages.push_back({r + distance, r, 1.0});
      back.messages.push_back({r, r + distance, 1.0});
    }
    plan.rounds.push_back(std::move(up));
    down.push_back(std::move(back));
  }
  for (auto it = down.rbegin(); it != down.rend(); ++it) {
    it->stage = stage++;
    plan.rounds.push_back(std::move(*it));
  }
  return plan;
}

}  // namespace paceline
