#include "sim/network/collectives/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "base/error.hpp"

namespace paceline {

const char* to_string(AllReduce algorithm) {
  switch (algorithm) {
    case AllReduce::ring:
      return "ring";
    case AllReduce::double_binary_tree:
      return "double_binary_tree";
    case AllReduce::halving_doubling:
      return "halving_doubling";
    case AllReduce::hierarchical:
      return "hierarchical";
  }
  return "";
}

std::vector<std::string> all_reduce_names() {
  return {"ring", "double_binary_tree", "halving_doubling", "hierarchical"};
}

AllReduce all_reduce_from_name(std::string_view name) {
  for (const AllReduce a : {AllReduce::ring, AllReduce::double_binary_tree,
                            AllReduce::halving_doubling, AllReduce::hierarchical})
    if (name == to_string(a)) return a;
  throw InputError(unknown_name("all-reduce algorithm", name, all_reduce_names()));
}

Plan plan_ring(std::uint32_t ranks) {
  Plan plan{"ring", ranks, {}};
  if (ranks < 2) return plan;
  PlanRound round{2 * (static_cast<std::int64_t>(ranks) - 1), 0, false, {}};
  for (std::uint32_t r = 0; r < ranks; ++r)
    round.messages.push_back({r, (r + 1) % ranks, 1.0 / ranks});
  plan.rounds.push_back(std::move(round));
  return plan;
}

Plan plan_all_gather(std::uint32_t ranks) {
  Plan plan = plan_ring(ranks);
  plan.name = "ring all-gather";
  for (PlanRound& round : plan.rounds) round.repeat = static_cast<std::int64_t>(ranks) - 1;
  return plan;
}

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

Plan plan_hierarchical(std::uint32_t nodes, std::uint32_t per_node) {
  Plan plan{"hierarchical", nodes * per_node, {}};
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
  if (nodes > 1) {
    PlanRound round{2 * (static_cast<std::int64_t>(nodes) - 1), 1, per_node > 1, {}};
    for (std::uint32_t n = 0; n < nodes; ++n)
      for (std::uint32_t l = 0; l < per_node; ++l)
        round.messages.push_back({n * per_node + l, (n + 1) % nodes * per_node + l,
                                  1.0 / (static_cast<double>(nodes) * per_node)});
    plan.rounds.push_back(std::move(round));
  }
  intra(2);
  return plan;
}

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

Plan plan_all_reduce(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  const auto ranks = static_cast<std::uint32_t>(node_of.size());
  switch (options.algorithm) {
    case AllReduce::ring:
      return plan_ring(ranks);
    case AllReduce::double_binary_tree:
      return plan_double_binary_tree(ranks, options.chunks);
    case AllReduce::halving_doubling:
      return plan_halving_doubling(ranks);
    case AllReduce::hierarchical:
      break;
  }
  std::uint32_t per_node = 1;
  while (per_node < ranks && node_of[per_node] == node_of[0]) ++per_node;
  // The ranks of a node must be one run, and all runs equally long.
  std::set<std::uint32_t> seen;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    const std::uint32_t first = r / per_node * per_node;
    if (ranks % per_node != 0 || node_of[r] != node_of[first] ||
        (r == first && !seen.insert(node_of[r]).second))
      throw InputError(
          "hierarchical all-reduce needs the same number of GPUs on every node, in consecutive "
          "ranks");
  }
  return plan_hierarchical(ranks / per_node, per_node);
}

}  // namespace paceline
