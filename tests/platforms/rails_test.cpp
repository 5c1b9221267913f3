#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "tests/platforms/routes.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// Two nodes of four GPUs (0-3, 4-7) and two NICs each; hosts are endpoints 8 and 9.
ClusterSpec rails_spec(std::size_t count = 2) {
  ClusterSpec spec = small_spec(2, 4);
  spec.network.topology =
      read_topology(ObjectReader({{"kind", "rails"}, {"count", count}}, "test"));
  return spec;
}

std::vector<std::string> names(const Cluster& cluster, Endpoint from, Endpoint to) {
  std::vector<std::string> result;
  for (const LinkId link : route_of(cluster, from, to).links)
    result.push_back(cluster.links()[link].name);
  return result;
}

TEST(Rails, AGpuTakesTheNicNearToIt) {
  const Cluster cluster = make_cluster(rails_spec());
  EXPECT_THAT(names(cluster, 1, 5),
              ElementsAre("gpu1-node0", "node0.0-rail0", "rail0-node1.0", "node1-gpu5"));
  EXPECT_THAT(names(cluster, 3, 7),
              ElementsAre("gpu3-node0", "node0.1-rail1", "rail1-node1.1", "node1-gpu7"));
  const Route same = route_of(cluster, 3, 7), other = route_of(cluster, 0, 7);
  EXPECT_DOUBLE_EQ(cluster.bandwidth(same), 1e9);
  EXPECT_NEAR(same.latency, 10e-6, 1e-15);
  EXPECT_NEAR(other.latency, 12e-6, 1e-15);  // the spine and another rail's switch
  EXPECT_THAT(names(cluster, 0, 7),
              ElementsAre("gpu0-node0", "node0.0-rail0", "rail1-node1.1", "node1-gpu7"));
}

TEST(Rails, AHostTakesTheRailOfTheOther) {
  const Cluster cluster = make_cluster(rails_spec());
  EXPECT_THAT(names(cluster, 8, 7), ElementsAre("node0.1-rail1", "rail1-node1.1", "node1-gpu7"));
  EXPECT_THAT(names(cluster, 5, 8), ElementsAre("gpu5-node1", "node1.0-rail0", "rail0-node0.0"));
  EXPECT_THAT(names(cluster, 8, 9), ElementsAre("node0.1-rail1", "rail1-node1.1"));
}

TEST(Rails, WithNVLinkAllOfThemAreOnePort) {
  ClusterSpec spec = rails_spec();
  spec.nodes[0].nvlink = LinkSpec{100e9, 0, 0, 1};
  const Cluster cluster = make_cluster(spec);
  const Route route = route_of(cluster, 0, 7);
  EXPECT_THAT(names(cluster, 0, 7),
              ElementsAre("gpus0-node0", "node0-rails", "rails-node1", "node1-gpus1"));
  EXPECT_DOUBLE_EQ(cluster.bandwidth(route), 2e9);
  EXPECT_NEAR(route.latency, 10e-6, 1e-15);
  // The PCIe of as many GPUs as there are NICs.
  EXPECT_DOUBLE_EQ(cluster.links()[route.links[0]].bandwidth, 2 * 12e9);
}

TEST(Rails, HalvesAreJoinedByAllPorts) {
  EXPECT_DOUBLE_EQ(make_cluster(rails_spec()).bisection_bandwidth(), 2e9);
  EXPECT_DOUBLE_EQ(make_cluster(rails_spec(1)).bisection_bandwidth(), 1e9);
}

TEST(Rails, AreWrittenAsRead) {
  const ClusterSpec spec = rails_spec(8);
  EXPECT_EQ(write_topology(spec.network.topology), (Json{{"kind", "rails"}, {"count", 8}}));
  EXPECT_THAT([] { make_cluster(rails_spec(65)); },
              ThrowsMessage<InputError>(HasSubstr("$.network.topology.count: at most 64 NICs")));
}

}  // namespace
}  // namespace paceline
