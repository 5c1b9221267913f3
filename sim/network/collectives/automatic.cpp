#include "sim/network/collectives/plan.hpp"

namespace paceline {
namespace {

// Small messages go whole: chunks would only add latencies.
Plan tree(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  AllReduceOptions whole = options;
  whole.chunks = 1;
  return AllReduce::hierarchical_tree.plan(whole, node_of);
}

Plan ring(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  return AllReduce::ring.plan(options, node_of);
}

}  // namespace

extern const AllReduceAlgorithm kAutomatic{9, "auto", ring, tree};

}  // namespace paceline
