#include "platforms/cluster.hpp"
#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "platforms/cluster_file.hpp"
#include "tests/platforms/routes.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;

TEST(Cluster, ReferenceStarIsPureAlphaBeta) {
  const Cluster cluster = load_cluster("reference-star");
  ASSERT_EQ(cluster.gpus(), 16u);
  ASSERT_EQ(cluster.nodes(), 16u);
  ASSERT_EQ(cluster.links().size(), 32u);
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

TEST(Cluster, RanksAreNodeMajorOverUnlikeGroups) {
  ClusterSpec spec = small_spec(2, 3);
  NodeGroup fast = spec.nodes[0];
  fast.name = "fast";
  fast.count = 1;
  fast.gpus = 2;
  fast.gpu = "V100 SXM2";
  fast.speed = 1.5;
  fast.host.memory_bandwidth = 60e9;
  NodeGroup servers;
  servers.name = "servers";
  servers.gpus = 0;
  spec.nodes.push_back(fast);
  spec.nodes.push_back(servers);
  const Cluster cluster = make_cluster(spec);
  ASSERT_EQ(cluster.gpus(), 8u);
  ASSERT_EQ(cluster.nodes(), 4u);
  std::vector<std::size_t> nodes;
  for (Endpoint e = 0; e < cluster.endpoints(); ++e) nodes.push_back(cluster.node_of(e));
  EXPECT_THAT(nodes, ElementsAre(0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 2, 3));
  EXPECT_EQ(cluster.device(5).gpu, "GTX 1080 Ti");
  EXPECT_EQ(cluster.device(5).memory_bytes(), 11.0 * (1 << 30));
  EXPECT_EQ(cluster.device(6).gpu, "V100 SXM2");
  EXPECT_EQ(cluster.device(6).node, 2u);
  EXPECT_EQ(cluster.device(7).speed, 1.5);
  EXPECT_EQ(cluster.host(2).memory_bandwidth, 60e9);
  EXPECT_THAT(cluster.servers(), ElementsAre(8, 9, 10, 11));
  EXPECT_THAT(places(cluster, 7, cluster.host_of(3)),
              ElementsAre("gpu7", "node2", "switch", "node3"));
}

TEST(Cluster, ServersAreTheNamedNodes) {
  ClusterSpec spec = small_spec(4);
  spec.servers = {3, 1};
  EXPECT_THAT(make_cluster(spec).servers(), ElementsAre(5, 7));
}

TEST(Cluster, HostsSitAtThePort) {
  const Cluster cluster = make_cluster(small_spec(2, 2));
  const Endpoint near = cluster.host_of(0), far = cluster.host_of(1);
  EXPECT_THAT(places(cluster, 0, 1), ElementsAre("gpu0", "node0", "gpu1"));
  EXPECT_THAT(places(cluster, 0, 3), ElementsAre("gpu0", "node0", "switch", "node1", "gpu3"));
  EXPECT_THAT(places(cluster, 0, near), ElementsAre("gpu0", "node0"));
  EXPECT_THAT(places(cluster, near, 1), ElementsAre("node0", "gpu1"));
  EXPECT_THAT(places(cluster, near, far), ElementsAre("node0", "switch", "node1"));
  EXPECT_THAT(places(cluster, far, 1), ElementsAre("node1", "switch", "node0", "gpu1"));
}

TEST(Cluster, BridgeIsSharedAndPeersMayMeetBelowIt) {
  ClusterSpec spec = small_spec(2, 2);
  spec.nodes[0].bridge = 16e9;
  const Cluster through = make_cluster(spec);
  EXPECT_THAT(places(through, 0, 1), ElementsAre("gpu0", "pcie0", "node0", "pcie0", "gpu1"));
  EXPECT_THAT(places(through, 0, 2),
              ElementsAre("gpu0", "pcie0", "node0", "switch", "node1", "pcie1", "gpu2"));
  EXPECT_EQ(route_of(through, 0, 3).links[1], route_of(through, 1, 3).links[1]);
  spec.nodes[0].peers_cross_bridge = false;
  const Cluster below = make_cluster(spec);
  EXPECT_THAT(places(below, 0, 1), ElementsAre("gpu0", "pcie0", "gpu1"));
  EXPECT_THAT(places(below, 0, below.host_of(0)), ElementsAre("gpu0", "pcie0", "node0"));
}

TEST(Cluster, RootsAreCrossedByPeersOfDifferentOnes) {
  ClusterSpec spec = small_spec(2, 4);
  spec.nodes[0].pcie = {16e9, 0, 5e-6, 0.75};
  spec.nodes[0].roots = RootSpec{2, 8e9};
  const Cluster cluster = make_cluster(spec);
  EXPECT_THAT(places(cluster, 4, 5), ElementsAre("gpu4", "node1", "gpu5"));
  EXPECT_EQ(cluster.bandwidth(route_of(cluster, 4, 5)), 12e9);
  EXPECT_EQ(route_of(cluster, 5, 6).links.size(), 4U);
  EXPECT_EQ(cluster.bandwidth(route_of(cluster, 5, 6)), 6e9);
  EXPECT_DOUBLE_EQ(route_of(cluster, 5, 6).latency, 5e-6);
  EXPECT_EQ(route_of(cluster, 5, 6).links[1], route_of(cluster, 4, 7).links[1]);  // shared
  EXPECT_NE(route_of(cluster, 5, 6).links[1], route_of(cluster, 1, 2).links[1]);
  EXPECT_EQ(route_of(cluster, 3, 5).links.size(), 4U);  // between nodes: pcie, ports, pcie
  EXPECT_EQ(route_of(cluster, 4, cluster.host_of(1)).links.size(), 1U);
  spec.nodes[0].roots->count = 3;
  EXPECT_THAT([&] { (void)make_cluster(spec); },
              ::testing::ThrowsMessage<InputError>(::testing::HasSubstr("roots.count")));
}

TEST(Cluster, NvlinkJoinsPeersOnly) {
  ClusterSpec spec = small_spec(2, 2);
  spec.nodes[0].nvlink = LinkSpec{150e9, 1e-6, 3e-6, 1};
  const Cluster cluster = make_cluster(spec);
  EXPECT_THAT(places(cluster, 1, 0), ElementsAre("gpu1", "nvswitch0", "gpu0"));
  EXPECT_DOUBLE_EQ(route_of(cluster, 1, 0).latency, 5e-6);
  EXPECT_EQ(cluster.bandwidth(route_of(cluster, 1, 0)), 150e9);
  EXPECT_THAT(places(cluster, 1, 2), ElementsAre("gpu1", "node0", "switch", "node1", "gpu2"));
}

TEST(Cluster, AlphaIsLatenciesPlusOverheadOfOneClass) {
  ClusterSpec spec = small_spec(2, 2);
  spec.nodes[0].pcie = {12e9, 2e-6, 5e-6, 0.5};
  spec.network.overhead = 100e-6;
  spec.network.efficiency = 0.9;
  const Cluster cluster = make_cluster(spec);
  EXPECT_DOUBLE_EQ(route_of(cluster, 0, 1).latency, 9e-6);
  EXPECT_DOUBLE_EQ(route_of(cluster, 0, cluster.host_of(0)).latency, 7e-6);
  EXPECT_DOUBLE_EQ(route_of(cluster, 0, 2).latency, 2e-6 + 10e-6 + 2e-6 + 100e-6);
  EXPECT_DOUBLE_EQ(route_of(cluster, 4, 5).latency, 110e-6);
  EXPECT_DOUBLE_EQ(cluster.bandwidth(route_of(cluster, 0, 1)), 6e9);
  EXPECT_DOUBLE_EQ(cluster.bandwidth(route_of(cluster, 0, 2)), 0.9e9);
}

TEST(Cluster, InfiniteLinksLeaveOnlyTheirLatency) {
  ClusterSpec spec = small_spec(2, 2);
  spec.nodes[0].pcie = {kInfinity, 3e-6, 0, 1};
  spec.network.bandwidth = kInfinity;
  const Cluster cluster = make_cluster(spec);
  EXPECT_TRUE(cluster.links().empty());
  EXPECT_DOUBLE_EQ(route_of(cluster, 0, 2).latency, 16e-6);
  EXPECT_EQ(cluster.bandwidth(route_of(cluster, 0, 2)), kInfinity);
  EXPECT_EQ(cluster.bisection_bandwidth(), kInfinity);
}

TEST(Cluster, RouteReusesItsStorage) {
  const Cluster cluster = make_cluster(small_spec(4));
  Route route;
  cluster.route(0, 1, route);
  const LinkId* storage = route.links.data();
  cluster.route(2, 3, route);
  EXPECT_EQ(route.links.data(), storage);
  EXPECT_EQ(route.links.size(), 4u);
  cluster.route(2, 2, route);
  EXPECT_TRUE(route.links.empty());
  EXPECT_EQ(route.latency, 0);
}

TEST(Cluster, UnknownEndpointIsOurFault) {
  const Cluster cluster = make_cluster(small_spec(4));
  Route route;
  EXPECT_THROW(cluster.route(0, 8, route), std::out_of_range);
  EXPECT_THROW((void)cluster.node_of(8), std::out_of_range);
  EXPECT_THROW((void)cluster.host_of(4), std::out_of_range);
}

TEST(Cluster, TakesAnExplicitTable) {
  ClusterSpec spec = small_spec(2);
  const Json topology{{"kind", "xml"}, {"file", "two.xml"}};
  spec.network.topology = read_topology(ObjectReader(topology, "test"));
  const Cluster cluster(
      spec, {{"cable", LinkKind::fabric, 5e8, 1e-6}}, [](Endpoint from, Endpoint to, Route& out) {
        if (from == 1) throw InputError("no route from gpu1 to endpoint " + std::to_string(to));
        out.links.push_back(0);
        out.latency = 1e-6;
      });
  EXPECT_EQ(cluster.bandwidth(route_of(cluster, 0, 1)), 5e8);
  EXPECT_TRUE(route_of(cluster, 1, 1).links.empty());
  EXPECT_THROW(route_of(cluster, 1, 0), InputError);
  EXPECT_TRUE(std::isnan(cluster.bisection_bandwidth()));
}

TEST(Cluster, LinksMatchPatterns) {
  const Cluster cluster = make_cluster(small_spec(12));
  EXPECT_EQ(cluster.links_matching("*").size(), cluster.links().size());
  EXPECT_EQ(cluster.links_matching("node1-*").size(), 2u);  // to its GPU and to the switch
  EXPECT_EQ(cluster.links_matching("*-switch").size(), 12u);
  EXPECT_EQ(cluster.links_matching("*1*-switch").size(), 3u);  // 1, 10, 11
  EXPECT_EQ(cluster.links_matching("node1").size(), 0u);
  EXPECT_THAT(cluster.links_matching(cluster.links()[7].name), ::testing::ElementsAre(7u));
  // A pattern that fits nothing is not tried in every way.
  EXPECT_EQ(cluster.links_matching(std::string(40, '*') + "*o*d*e*n*o*d*e*n*o*d*e*x").size(), 0u);
  EXPECT_EQ(cluster.links_matching("n*e1-sw*h*").size(), 1u);
}

}  // namespace
}  // namespace paceline
