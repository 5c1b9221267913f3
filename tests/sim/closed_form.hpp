#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "sim/network/collectives/plan.hpp"

namespace paceline {

/// Sizes alpha (s per message) and B (bytes/s) of an un-contended star.
struct AlphaBeta {
  double alpha = 0;
  double bandwidth = 0;
};

/// Longest chain of messages in a plan, counted in messages (repeats included).
inline std::int64_t depth_in_messages(const Plan& plan) {
  std::vector<std::int64_t> depth(plan.ranks, 0), next;
  for (const PlanRound& round : plan.rounds)
    for (std::int64_t i = 0; i < round.repeat; ++i) {
      next = depth;
      for (const PlanMessage& m : round.messages) {
        const std::int64_t end = std::max(depth[m.from], depth[m.to]) + 1;
        next[m.from] = std::max(next[m.from], end);
        next[m.to] = std::max(next[m.to], end);
      }
      depth.swap(next);
    }
  return depth.empty() ? 0 : *std::max_element(depth.begin(), depth.end());
}

/// The textbook cost on an un-contended star, written independently of the plans: the oracle of the
/// tests. S in bytes. `double_binary_tree`: depth of the message
/// graph in unit messages times (alpha + S/(2 chunks B)); `hierarchical`: `intra` for the links
/// inside a node.
///   ring               2(N-1) (alpha + S/(N B))
///   halving_doubling   2 log2(p) alpha + 2 (p-1)/p S/B, p = 2^floor(log2 N); + 2 (alpha + S/B) if
///   p < N hierarchical       2(g-1)(alpha_i + S/(g B_i)) + 2(n-1)(alpha + S/(n B))
inline double closed_form_s(const AllReduceOptions& options, std::uint32_t ranks, double bytes,
                            AlphaBeta network, std::uint32_t ranks_per_node = 1,
                            AlphaBeta intra = {}) {
  if (ranks < 2) return 0;
  const double n = ranks, alpha = network.alpha, transfer = bytes / network.bandwidth;
  if (options.algorithm == AllReduce::ring) return 2 * (n - 1) * (alpha + transfer / n);
  if (options.algorithm == AllReduce::double_binary_tree)
    return static_cast<double>(depth_in_messages(plan_double_binary_tree(ranks, options.chunks))) *
           (alpha + transfer / (2.0 * static_cast<double>(options.chunks)));
  if (options.algorithm == AllReduce::halving_doubling) {
    const double p = std::bit_floor(ranks);
    const double core = 2 * std::log2(p) * alpha + 2 * (p - 1) / p * transfer;
    return p < n ? core + 2 * (alpha + transfer) : core;
  }
  if (options.algorithm != AllReduce::hierarchical)
    throw std::logic_error("no closed form of " + to_string(options.algorithm));
  const double g = ranks_per_node, nodes = n / g;
  const double inside = g > 1 ? 2 * (g - 1) * (intra.alpha + bytes / (g * intra.bandwidth)) : 0;
  const double between = nodes > 1 ? 2 * (nodes - 1) * (alpha + transfer / nodes) : 0;
  return inside + between;
}

}  // namespace paceline
