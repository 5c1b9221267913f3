#include "sim/network/collective_plans.hpp"

namespace paceline {
namespace {

Plan plan_of(CollectiveKind kind, const AllReduceOptions& all_reduce,
             const std::vector<Endpoint>& gpus, const Cluster& cluster) {
  const auto ranks = static_cast<std::uint32_t>(gpus.size());
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
  std::vector<std::uint32_t> nodes;
  for (const Endpoint gpu : gpus) nodes.push_back(static_cast<std::uint32_t>(cluster.node_of(gpu)));
  return plan_all_reduce(all_reduce, nodes);
}

}  // namespace

PreparedPlan prepare_collective(CollectiveKind kind, const AllReduceOptions& all_reduce,
                                const std::vector<Endpoint>& gpus, const Cluster& cluster) {
  return {plan_of(kind, all_reduce, gpus, cluster), cluster, gpus};
}

}  // namespace paceline
