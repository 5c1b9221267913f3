#include <bit>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

Plan plan_halving_doubling(std::uint32_t ranks) {
  Plan plan{"halving_doubling", ranks, {}};
  if (ranks < 2) return plan;
  const std::uint32_t p = std::bit_floor(ranks);
  const std::uint32_t folded = ranks - p;
  // The first 2*folded ranks pair up; the odd one of each pair takes part for both.
  const auto participant = [&](std::uint32_t i) { return i < folded ? 2 * i + 1 : i + folded; };
  std::uint32_t stage = 0;
  const auto fold = [&](bool in) {
    PlanRound round{1, stage++, false, {}};
    for (std::uint32_t i = 0; i < folded; ++i)
      round.messages.push_back(in ? PlanMessage{2 * i, 2 * i + 1, 1.0}
                                  : PlanMessage{2 * i + 1, 2 * i, 1.0});
    if (folded > 0) plan.rounds.push_back(std::move(round));
  };
  const auto exchange = [&](std::uint32_t distance) {
    // Partners at `distance` swap S * distance / p bytes: halves first with the far partner.
    PlanRound round{1, stage++, false, {}};
    for (std::uint32_t i = 0; i < p; ++i)
      round.messages.push_back(
          {participant(i), participant(i ^ distance), static_cast<double>(distance) / p});
    plan.rounds.push_back(std::move(round));
  };
  fold(true);
  for (std::uint32_t distance = p / 2; distance >= 1; distance /= 2) exchange(distance);
  for (std::uint32_t distance = 1; distance < p; distance *= 2) exchange(distance);
  fold(false);
  return plan;
}

extern const AllReduceAlgorithm kHalvingDoubling{
    2, "halving_doubling", [](const AllReduceOptions&, const std::vector<std::uint32_t>& node_of) {
      return plan_halving_doubling(static_cast<std::uint32_t>(node_of.size()));
    }};

}  // namespace paceline
