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

/// End of a plan whose messages all cost the same, `alpha` and then `wire`, sends being buffered: a
/// rank has its latest data and its port free at dates of their own.
inline double buffered_s(const Plan& plan, double alpha, double wire) {
  std::vector<double> has_data(plan.ranks, 0), out_free(plan.ranks, 0), in_free(plan.ranks, 0);
  for (const PlanRound& round : plan.rounds)
    for (std::int64_t i = 0; i < round.repeat; ++i) {
      const std::vector<double> before = has_data;
      for (const PlanMessage& m : round.messages) {
        const double begins = std::max({before[m.from] + alpha, out_free[m.from], in_free[m.to]});
        out_free[m.from] = in_free[m.to] = has_data[m.to] = begins + wire;
      }
    }
  return has_data.empty() ? 0 : *std::max_element(has_data.begin(), has_data.end());
}

/// The ring of unequal hops as a walk through the graph of DESIGN's max-plus form, the hop from rank
/// r to its neighbour taking alpha[r] + wire[r] and rank r's port wire[r]: of all walks of so many
/// edges the heaviest, which goes on over some hops and waits the rest at one port on its way.
inline double heaviest_walk_s(const std::vector<double>& alpha, const std::vector<double>& wire,
                              std::size_t edges) {
  double heaviest = 0;
  for (std::size_t start = 0; start < wire.size(); ++start) {
    double hops = 0, port = wire[start];
    for (std::size_t gone = 0; gone <= edges; ++gone) {
      heaviest = std::max(heaviest, hops + static_cast<double>(edges - gone) * port);
      const std::size_t at = (start + gone) % wire.size();
      hops += alpha[at] + wire[at];
      port = std::max(port, wire[(at + 1) % wire.size()]);
    }
  }
  return heaviest;
}

/// The textbook cost on an un-contended star, written independently of the plans: the oracle of the
/// tests. S in bytes. `double_binary_tree`: buffered_s of messages of
/// S/(2 chunks B); `hierarchical`: `intra` for the links
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
    return buffered_s(plan_double_binary_tree(ranks, options.chunks), alpha,
                      transfer / (2.0 * static_cast<double>(options.chunks)));
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
