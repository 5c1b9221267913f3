#include "platforms/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {
namespace {

TEST(Cluster, ReferenceStarIsPureAlphaBeta) {
  const Cluster cluster = load_cluster("reference-star");
  ASSERT_EQ(cluster.gpus(), 16u);
  ASSERT_EQ(cluster.nodes(), 16u);
  Route route;
  for (Endpoint from = 0; from < 16; ++from)
    for (Endpoint to = 0; to < 16; ++to) {
      cluster.route(from, to, route);
      if (from == to) {
        EXPECT_TRUE(route.links.empty());
        EXPECT_EQ(route.latency, 0);
        continue;
      }
      EXPECT_EQ(route.latency, cluster.spec().network.latency);
      EXPECT_DOUBLE_EQ(route.latency, 50e-6);
      EXPECT_EQ(cluster.bandwidth(route), 1.25 * 1024 * 1024 * 1024);
      ASSERT_EQ(route.links.size(), 2u);
      EXPECT_EQ(cluster.links()[route.links[0]].name, "node" + std::to_string(from) + "-switch");
      EXPECT_EQ(cluster.links()[route.links[1]].name, "switch-node" + std::to_string(to));
    }
}

}  // namespace
}  // namespace paceline
