// All-reduces whose algorithm depends on the size.
#include "sim/network/collective_plans.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {
namespace {

constexpr std::size_t kNodes = 8, kGpus = 4;

ClusterSpec nodes_of_gpus() {
  ClusterSpec spec = star_spec(kNodes);
  spec.nodes = {node_group(kNodes, kGpus, 12e9)};
  spec.nodes[0].pcie.latency = 1.5e-6;
  return spec;
}

TEST(AutomaticAllReduce, TakesTheShorterOneWhereTheStackSaysNothing) {
  const auto cluster = build(nodes_of_gpus());
  const std::vector<Endpoint> gpus = first_gpus(kNodes * kGpus);
  const CollectivePlans plans({AllReduce::automatic, 8}, {}, gpus, *cluster);
  PreparedPlan ring(plan_ring(kNodes * kGpus), *cluster, gpus),
      tree(plan_hierarchical_tree(kNodes, kGpus, 1), *cluster, gpus);
  bool small = false, large = false;
  for (double bytes = 1e2; bytes < 1e9; bytes *= 10) {
    const double of_ring = ring.closed_s(bytes), of_tree = tree.closed_s(bytes);
    EXPECT_EQ(plans.of(CollectiveKind::all_reduce, bytes).closed_s(bytes),
              std::min(of_ring, of_tree));
    small |= of_tree < of_ring;
    large |= of_ring < of_tree;
  }
  EXPECT_TRUE(small && large);
}

TEST(AutomaticAllReduce, KeepsToTheThresholdOfTheStack) {
  const auto cluster = build(nodes_of_gpus());
  Stack stack;
  stack.tree_below = {1e6, "test", 0};
  const CollectivePlans plans({AllReduce::automatic, 8}, stack, first_gpus(kNodes * kGpus),
                              *cluster);
  EXPECT_EQ(plans.of(CollectiveKind::all_reduce, 0.999e6).plan().name, "hierarchical tree");
  EXPECT_EQ(plans.of(CollectiveKind::all_reduce, 1e6).plan().name, "ring");
  EXPECT_EQ(plans.of(CollectiveKind::all_gather, 10).plan().name, "ring all-gather");
}

TEST(AllGathers, FollowOpenMpiWhereTheStackSaysSo) {
  const auto cluster = build(nodes_of_gpus());
  Stack stack;
  stack.open_mpi_all_gather = {1, "test", 0};
  const CollectivePlans plans({AllReduce::ring, 8}, stack, first_gpus(kNodes * kGpus), *cluster);
  const auto name = [&](double bytes) {
    return plans.of(CollectiveKind::all_gather, bytes).plan().name;
  };
  EXPECT_EQ(name(49'999), "Bruck all-gather");
  EXPECT_EQ(name(50'000), "neighbour-exchange all-gather");
  EXPECT_EQ(plans.of(CollectiveKind::all_reduce, 10).plan().name, "ring");
}

// The tree stands between the nodes: up and down in log2 of them, not of the GPUs.
TEST(AutomaticAllReduce, TreesStandBetweenNodes) {
  const auto cluster = build(nodes_of_gpus());
  const std::vector<Endpoint> gpus = first_gpus(kNodes * kGpus);
  const Plan tree = plan_hierarchical_tree(kNodes, kGpus, 1);
  Route inside, between;
  cluster->route(0, 1, inside);
  cluster->route(0, kGpus, between);
  const double latency = PreparedPlan(tree, *cluster, gpus).closed_s(0);
  EXPECT_GE(latency * (1 + 1e-9), 2 * 3 * inside.latency + 3 * between.latency);
  EXPECT_LE(latency * (1 - 1e-9), 2 * 3 * inside.latency + 2 * (3 + 1) * between.latency);
  EXPECT_EQ(plan_hierarchical_tree(16, 1, 8).rounds.size(),
            plan_double_binary_tree(16, 8).rounds.size());
}

// Through the first ranks of unequal nodes: a hop down, the tree of two nodes, a hop up.
TEST(AutomaticAllReduce, UnequalNodesTakeATreeOfTheirFirstGpus) {
  const AllReduceOptions options{AllReduce::automatic, 8};
  const Plan plan = options.algorithm.plan_of_small(options, {0, 0, 1});
  EXPECT_EQ(plan.name, "hierarchical tree");
  EXPECT_EQ(plan.rounds.size(), 2 + plan_double_binary_tree(2, 1).rounds.size());
}

Program two_sizes(Worker& w) {
  for ([[maybe_unused]] const Step step : w.steps()) {
    const Tensor small = w.zeros(100), large = w.zeros(10'000'000);
    co_await w.all_reduce_mean(small);
    co_await w.all_reduce_mean(large);
  }
}

TEST(AutomaticAllReduce, RunsAndCountsBoth) {
  const auto cluster = build(nodes_of_gpus());
  const std::vector<Endpoint> gpus = first_gpus(kNodes * kGpus);
  JobSpec job = make_job(uniform_model(1, 1, 0, 0), gpus, 3, two_sizes);
  job.all_reduce.algorithm = AllReduce::automatic;
  const JobResult result = run(cluster, {job}, Fidelity::closed).jobs[0];
  PreparedPlan ring(plan_ring(kNodes * kGpus), *cluster, gpus),
      tree(plan_hierarchical_tree(kNodes, kGpus, 1), *cluster, gpus);
  EXPECT_TRUE(close_to(result.iteration_time_s, tree.closed_s(400) + ring.closed_s(4e7), 1e-12));
  const double ranks = kNodes * kGpus;
  EXPECT_TRUE(close_to(result.sent_bytes, 2 * (ranks - 1) / ranks * (4e7 + 400), 1e-4));
}

}  // namespace
}  // namespace paceline
