#include <array>

#include "base/error.hpp"
#include "sim/network/collectives/plan.hpp"

namespace paceline {

// One line each: the algorithm is in a file of its own.
extern const AllReduceAlgorithm kRing, kDoubleBinaryTree, kHalvingDoubling, kHierarchical,
    kHierarchicalTree, kAutomatic;
namespace {

constexpr std::array kAlgorithms{&kRing,         &kDoubleBinaryTree, &kHalvingDoubling,
                                 &kHierarchical, &kHierarchicalTree, &kAutomatic};

}  // namespace

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
  for (const AllReduceAlgorithm* algorithm : kAlgorithms) names.emplace_back(algorithm->name);
  return names;
}

AllReduce all_reduce_from_name(std::string_view name) {
  for (const AllReduceAlgorithm* algorithm : kAlgorithms)
    if (algorithm->name == name) return AllReduce(*algorithm);
  throw InputError(unknown_name("all-reduce algorithm", name, all_reduce_names()));
}

Plan plan_all_reduce(const AllReduceOptions& options, const std::vector<std::uint32_t>& node_of) {
  return options.algorithm.plan(options, node_of);
}

}  // namespace paceline
