#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"
#include "sim/network/network.hpp"

namespace paceline {
namespace {

const std::string kExample =
    std::string(PACELINE_SOURCE_DIR) + "/platforms/examples/two-sites.json";

TEST(XmlCluster, RoutesAreTheFiles) {
  const Cluster cluster = load_xml_cluster(load_cluster_spec(kExample));
  ASSERT_EQ(cluster.spec().gpu_count(), 8U);
  for (Endpoint from = 0; from < 8; ++from)
    for (Endpoint to = 0; to < 8; ++to) {
      if (from == to) continue;
      Route route;
      cluster.route(from, to, route);
      const bool across = (from < 4) != (to < 4);  // east-0..3, west-0..3
      EXPECT_EQ(route.links.size(), across ? 3U : 2U);
      EXPECT_NEAR(route.latency, across ? 5.04e-3 : 40e-6, 1e-12);
      EXPECT_NEAR(cluster.bandwidth(route), across ? 125e6 : 1.25e9, 1);
      // A GPU and its host are one machine of the file.
      Route of_hosts;
      cluster.route(cluster.host_of(cluster.node_of(from)), to, of_hosts);
      EXPECT_EQ(of_hosts.links, route.links);
    }
  Route there, back;
  cluster.route(0, 4, there);
  cluster.route(4, 0, back);
  EXPECT_EQ(there.links[1], back.links[1]);  // one line, both directions
  EXPECT_NE(there.links[0], back.links[2]);  // ports are duplex
}

TEST(XmlCluster, EfficiencyAndOverheadAreTheClusters) {
  const Cluster cluster = load_xml_cluster(
      load_cluster_spec(kExample, {"network.efficiency=0.5", "network.overhead=10us"}));
  Route route;
  cluster.route(0, 1, route);
  EXPECT_NEAR(route.latency, 50e-6, 1e-12);
  EXPECT_NEAR(cluster.bandwidth(route), 0.625e9, 1);
}

}  // namespace
}  // namespace paceline
