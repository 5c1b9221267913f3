#include "sim/network/collective_plans.hpp"

namespace paceline {
namespace {

constexpr std::size_t kKinds = 4;

Plan plan_of(CollectiveKind kind, const AllReduceOptions& all_reduce,
             const std::vector<std::uint32_t>& nodes) {
  const auto ranks = static_cast<std::uint32_t>(nodes.size());
  switch (kind) {
    case CollectiveKind::all_gather:
      return plan_all_gather(ranks);
    case CollectiveKind::gtop_k:
      return plan_gtop_k(ranks);
    case CollectiveKind::barrier:
      return plan_barrier(ranks);
    case CollectiveKind::all_reduce:
      break;
  }
  return plan_all_reduce(all_reduce, nodes);
}

}  // namespace

CollectivePlans::CollectivePlans(const AllReduceOptions& all_reduce, const Stack& stack,
                                 const std::vector<Endpoint>& gpus, const Cluster& cluster)
    : tree_below_(stack.tree_below) {
  std::vector<std::uint32_t> nodes;
  for (const Endpoint gpu : gpus) nodes.push_back(static_cast<std::uint32_t>(cluster.node_of(gpu)));
  for (std::size_t kind = 0; kind < kKinds; ++kind)
    plans_.push_back(std::make_unique<PreparedPlan>(
        plan_of(static_cast<CollectiveKind>(kind), all_reduce, nodes), cluster, gpus));
  if (all_reduce.algorithm.depends_on_size())
    plans_.push_back(std::make_unique<PreparedPlan>(
        all_reduce.algorithm.plan_of_small(all_reduce, nodes), cluster, gpus));
}

PreparedPlan& CollectivePlans::of(CollectiveKind kind, double bytes) const {
  PreparedPlan& plan = *plans_[static_cast<std::size_t>(kind)];
  if (kind != CollectiveKind::all_reduce || plans_.size() == kKinds) return plan;
  PreparedPlan& tree = *plans_[kKinds];
  const bool small = tree_below_.stated() ? bytes < tree_below_.value
                                          : tree.closed_s(bytes) < plan.closed_s(bytes);
  return small ? tree : plan;
}

}  // namespace paceline
