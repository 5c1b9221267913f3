#include "sim/network/collective_plans.hpp"
#include "base/defaults.hpp"

namespace paceline {
namespace {

// ompi/mca/coll/tuned/coll_tuned_decision_fixed.c, to version 4: bytes of all blocks together.
const Default kOpenMpiSmall{
    "collectives.open_mpi_small", 50'000, "B",
    "below it Open MPI's all-gather is Bruck's (coll_tuned_decision_fixed.c)"};

constexpr std::int64_t kBroadcastPieces = 32;  // down a chain

constexpr std::size_t index(CollectiveKind kind) {
  return static_cast<std::size_t>(kind);
}

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
    default:
      break;
  }
  return plan_all_reduce(all_reduce, nodes);
}

}  // namespace

CollectivePlans::CollectivePlans(const AllReduceOptions& all_reduce, const Stack& stack,
                                 const std::vector<Endpoint>& gpus, const Cluster& cluster)
    : gpus_(gpus), cluster_(cluster) {
  std::vector<std::uint32_t> nodes;
  for (const Endpoint gpu : gpus) nodes.push_back(static_cast<std::uint32_t>(cluster.node_of(gpu)));
  const bool open_mpi = stack.open_mpi_all_gather.value != 0;
  const auto ranks = static_cast<std::uint32_t>(gpus.size());
  for (std::size_t kind = 0; kind < small_.size(); ++kind)
    add(open_mpi && kind == index(CollectiveKind::all_gather)
            ? plan_neighbour_all_gather(ranks)
            : plan_of(static_cast<CollectiveKind>(kind), all_reduce, nodes));
  if (open_mpi)
    small_[index(CollectiveKind::all_gather)] = {add(plan_bruck_all_gather(ranks)), kOpenMpiSmall};
  if (all_reduce.algorithm.depends_on_size()) {
    Small& small = small_[index(CollectiveKind::all_reduce)];
    small.plan = add(all_reduce.algorithm.plan_of_small(all_reduce, nodes));
    if (stack.tree_below.stated()) small.below = stack.tree_below.value;
  }
}

PreparedPlan* CollectivePlans::add(const Plan& plan) const {
  return plans_.emplace_back(std::make_unique<PreparedPlan>(plan, cluster_, gpus_)).get();
}

PreparedPlan& CollectivePlans::of(CollectiveKind kind, double bytes, std::uint32_t root) const {
  if (index(kind) >= small_.size()) return rare(kind, bytes, root);
  PreparedPlan& plan = *plans_[index(kind)];
  const Small& small = small_[index(kind)];
  if (small.plan == nullptr) return plan;
  const bool is_small =
      small.below ? bytes < *small.below : small.plan->closed_s(bytes) < plan.closed_s(bytes);
  return is_small ? *small.plan : plan;
}

CollectivePlans::Rare CollectivePlans::make_rare(CollectiveKind kind, std::uint32_t root) const {
  const auto ranks = static_cast<std::uint32_t>(gpus_.size());
  switch (kind) {
    case CollectiveKind::reduce_scatter:
      return {add(plan_reduce_scatter(ranks)), nullptr};
    case CollectiveKind::broadcast:
      return {add(plan_chain_broadcast(ranks, root, kBroadcastPieces)),
              add(plan_tree_broadcast(ranks, root))};
    case CollectiveKind::all_to_all:
      return {add(plan_all_to_all(ranks)), nullptr};
    default:
      return {add(plan_all_gather(ranks)), nullptr};
  }
}

PreparedPlan& CollectivePlans::rare(CollectiveKind kind, double bytes, std::uint32_t root) const {
  auto found = rare_.find({kind, root});
  if (found == rare_.end())
    found = rare_.emplace(std::pair(kind, root), make_rare(kind, root)).first;
  const Rare& plans = found->second;
  const bool is_small =
      plans.small != nullptr && plans.small->closed_s(bytes) < plans.plan->closed_s(bytes);
  return is_small ? *plans.small : *plans.plan;
}

}  // namespace paceline
