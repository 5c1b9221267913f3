// Collectives on nodes with several NICs: through all of them, or through one.
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "sim/network/collectives/plan.hpp"
#include "sim/network/prepared_plan.hpp"
#include "tests/platforms/routes.hpp"

namespace paceline {
namespace {

constexpr double kBytes = 64e6, kPort = 1e9, kPcie = 12e9, kAlpha = 10e-6, kSwitch = 1e-6;

double seconds(const Plan& plan, std::size_t rails, bool nvlink = false) {
  ClusterSpec spec = small_spec(2, 4);
  if (rails > 1)
    spec.network.topology =
        read_topology(ObjectReader({{"kind", "rails"}, {"count", rails}}, "test"));
  if (nvlink) spec.nodes[0].nvlink = LinkSpec{100e9, 0, 0, 1};
  const Cluster cluster = make_cluster(spec);
  std::vector<Endpoint> gpus(8);
  for (Endpoint gpu = 0; gpu < 8; ++gpu) gpus[gpu] = gpu;
  return PreparedPlan(plan, cluster, gpus).alone_s(kBytes);
}

// Reduce-scatter and all-gather inside; between the nodes a ring of two for each of the four local
// ranks, as many of which share a port as it has GPUs.
TEST(Rails, AHierarchicalAllReduceEntersThroughAll) {
  const double inside = 2 * 3 * kBytes / 4 / kPcie;
  for (const std::size_t rails : {1, 2, 4})
    EXPECT_NEAR(seconds(plan_hierarchical(2, 4), rails),
                inside + 2 * (kAlpha + static_cast<double>(4 / rails) * kBytes / 4 / 2 / kPort),
                1e-12)
        << rails;
}

// Over PCIe a ring leaves a node by one GPU, so by one NIC; over NVLink by all.
TEST(Rails, ARingEntersThroughOneOrWithNVLinkThroughAll) {
  // From the last GPU of a node to the first of the next: on another rail, two switches further.
  EXPECT_NEAR(seconds(plan_ring(8), 1), 14 * kBytes / 8 / kPort + kAlpha, 1e-12);
  EXPECT_NEAR(seconds(plan_ring(8), 4), 14 * kBytes / 8 / kPort + kAlpha + 2 * kSwitch, 1e-12);
  const double one = seconds(plan_ring(8), 1, true), four = seconds(plan_ring(8), 4, true);
  EXPECT_NEAR(one, 14 * kBytes / 8 / kPort, 5 * kAlpha);
  EXPECT_NEAR(four, 14 * kBytes / 8 / (4 * kPort), 5 * kAlpha);
}

}  // namespace
}  // namespace paceline
