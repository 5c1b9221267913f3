#include "base/error.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {

// Those that code names; the list of all is made by the build.
extern const AllReduceAlgorithm kRing, kDoubleBinaryTree, kHalvingDoubling, kHierarchical,
    kHierarchicalTree, kAutomatic;
constinit const AllReduce AllReduce::ring(kRing);
constinit const AllReduce AllReduce::double_binary_tree(kDoubleBinaryTree);
constinit const AllReduce AllReduce::halving_doubling(kHalvingDoubling);
constinit const AllReduce AllReduce::hierarchical(kHierarchical);
constinit const AllReduce AllReduce::hierarchical_tree(kHierarchicalTree);
constinit const AllReduce AllReduce::automatic(kAutomatic);

std::string to_string(AllReduce algorithm) {
  return std::string(algorithm.name());
}

std::vector<std::string> all_reduce_names() {
  std::vector<std::string> names;
  for (const AllReduceAlgorithm* algorithm : all_reduce_algorithms())
    names.emplace_back(algorithm->name);
  return names;
}

AllReduce all_reduce_from_name(std::string_view name) {
  for (const AllReduceAlgorithm* algorithm : all_reduce_algorithms())
    if (algorithm->name == name) return AllReduce(*algorithm);
  throw InputError(unknown_name("all-reduce algorithm", name, all_reduce_names()));
}

Plan plan_all_reduce(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  return options.algorithm.plan(options, node_of);
}

}  // namespace paceline
