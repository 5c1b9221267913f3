#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "tests/platforms/routes.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;

TopologySpec topology_of(const Json& json) {
  return read_topology(ObjectReader(json, "test"));
}

ClusterSpec fat_tree(std::size_t nodes, std::size_t nodes_per_leaf,
                     const std::vector<double>& ratios, const std::vector<std::size_t>& uplinks,
                     std::size_t leaves_per_pod = 0) {
  ClusterSpec spec = small_spec(nodes);
  Json json{{"kind", "fat_tree"},
            {"levels", ratios.size() + 1},
            {"nodes_per_leaf", nodes_per_leaf},
            {"oversubscription", ratios},
            {"uplinks", uplinks}};
  if (ratios.size() == 2) json["leaves_per_pod"] = leaves_per_pod;
  spec.network.topology = topology_of(json);
  return spec;
}

ClusterSpec torus(const std::vector<std::size_t>& dimensions, std::size_t bundle = 1) {
  std::size_t nodes = 1;
  for (const std::size_t size : dimensions) nodes *= size;
  ClusterSpec spec = small_spec(nodes);
  spec.network.topology =
      topology_of({{"kind", "torus"}, {"dimensions", dimensions}, {"links_per_direction", bundle}});
  return spec;
}

ClusterSpec dragonfly(std::size_t groups, std::size_t routers, std::size_t nodes_per_router,
                      const Json& rates = Json::object()) {
  ClusterSpec spec = small_spec(groups * routers * nodes_per_router);
  Json json{{"kind", "dragonfly"},
            {"groups", groups},
            {"routers", routers},
            {"nodes_per_router", nodes_per_router}};
  json.update(rates);
  spec.network.topology = topology_of(json);
  return spec;
}

/// Between every two endpoints: adjacent hops, no link twice, as many hops there as back, and an
/// alpha of network latency plus switch latency per link between switches.
void expect_sound_routes(const Cluster& cluster) {
  const NetworkSpec& network = cluster.spec().network;
  for (Endpoint from = 0; from < cluster.endpoints(); ++from)
    for (Endpoint to = 0; to < cluster.endpoints(); ++to) {
      places(cluster, from, to);
      const Route route = route_of(cluster, from, to);
      EXPECT_EQ(route.links.size(), route_of(cluster, to, from).links.size());
      EXPECT_EQ(std::set<LinkId>(route.links.begin(), route.links.end()).size(),
                route.links.size());
      double latency = cluster.node_of(from) == cluster.node_of(to) ? 0 : network.latency;
      for (const LinkId link : route.links)
        if (cluster.links()[link].kind == LinkKind::fabric) latency += network.switch_latency;
      EXPECT_NEAR(route.latency, latency, 1e-18);
    }
}

TEST(Star, EveryPairIsSound) {
  const Cluster cluster = make_cluster(small_spec(6, 2));
  expect_sound_routes(cluster);
  EXPECT_EQ(cluster.bisection_bandwidth(), 3e9);
}

TEST(Star, BisectionOfUnlikePortsIsTheSlowerHalf) {
  ClusterSpec spec = small_spec(2);
  spec.nodes.push_back(spec.nodes[0]);
  spec.nodes[1].name = "slow";
  spec.nodes[1].nic = 0.25e9;
  EXPECT_EQ(make_cluster(spec).bisection_bandwidth(), 0.5e9);
}

TEST(FatTree, TwoLevels) {
  const Cluster cluster = make_cluster(fat_tree(12, 4, {2}, {2}));
  expect_sound_routes(cluster);
  EXPECT_THAT(places(cluster, 0, 3), ElementsAre("gpu0", "node0", "leaf0", "node3", "gpu3"));
  // D-mod-k: the destination's parity picks the spine.
  EXPECT_THAT(places(cluster, 0, 10),
              ElementsAre("gpu0", "node0", "leaf0", "spine0", "leaf2", "node10", "gpu10"));
  EXPECT_THAT(places(cluster, 0, 11),
              ElementsAre("gpu0", "node0", "leaf0", "spine1", "leaf2", "node11", "gpu11"));
  for (const LinkId link : cluster.links_matching("leaf*-spine*"))
    EXPECT_EQ(cluster.links()[link].bandwidth, 4 * 1e9 / 2 / 2);  // nodes x B / ratio / up-links
  EXPECT_EQ(cluster.links_matching("leaf*-spine*").size(), 6u);
  EXPECT_EQ(make_cluster(fat_tree(16, 4, {2}, {2})).bisection_bandwidth(), 8e9 / 2);
  EXPECT_EQ(make_cluster(fat_tree(16, 4, {1}, {4})).bisection_bandwidth(), 8e9);
}

TEST(FatTree, ThreeLevels) {
  const Cluster cluster = make_cluster(fat_tree(16, 2, {1, 4}, {2, 2}, 4));
  expect_sound_routes(cluster);
  EXPECT_THAT(places(cluster, 0, 6),
              ElementsAre("gpu0", "node0", "leaf0", "agg0.0", "leaf3", "node6", "gpu6"));
  // 15 mod 2 = 1 picks the aggregation switch, 15 / 2 mod 2 = 1 the core.
  EXPECT_THAT(places(cluster, 0, 15), ElementsAre("gpu0", "node0", "leaf0", "agg0.1", "core1.1",
                                                  "agg1.1", "leaf7", "node15", "gpu15"));
  for (const LinkId link : cluster.links_matching("agg*-core*"))
    EXPECT_EQ(cluster.links()[link].bandwidth, 4 * 1e9 / 4 / 2);
  EXPECT_EQ(cluster.bisection_bandwidth(), 8e9 / 4);
}

TEST(FatTree, NonBlockingShiftPermutationsShareNoLink) {
  // What D-mod-k is for: with as many up-links as nodes, every shift uses each link at most once.
  const Cluster cluster = make_cluster(fat_tree(16, 4, {1}, {4}));
  for (Endpoint shift = 1; shift < 16; ++shift) {
    std::set<LinkId> used;
    for (Endpoint from = 0; from < 16; ++from)
      for (const LinkId link : route_of(cluster, from, (from + shift) % 16).links)
        EXPECT_TRUE(used.insert(link).second) << cluster.links()[link].name << " shift " << shift;
  }
}

TEST(FatTree, LastLeafMayBePartlyFilled) {
  expect_sound_routes(make_cluster(fat_tree(9, 4, {3}, {2})));
  expect_sound_routes(make_cluster(fat_tree(11, 2, {1, 1}, {2, 1}, 2)));
}

TEST(Torus, RoutesAreShortest) {
  for (const std::vector<std::size_t>& size :
       {std::vector<std::size_t>{4, 4}, {2, 3, 4}, {5, 3}, {1, 6}}) {
    const Cluster cluster = make_cluster(torus(size));
    expect_sound_routes(cluster);
    for (Endpoint from = 0; from < cluster.nodes(); ++from)
      for (Endpoint to = 0; to < cluster.nodes(); ++to) {
        if (from == to) continue;
        std::size_t hops = 0, a = from, b = to;
        for (std::size_t d = size.size(); d-- > 0; a /= size[d], b /= size[d]) {
          const std::size_t ahead = (b % size[d] + size[d] - a % size[d]) % size[d];
          hops += std::min(ahead, size[d] - ahead);
        }
        EXPECT_EQ(route_of(cluster, from, to).links.size(),
                  hops + 4);  // + PCIe and port at each end
      }
  }
}

TEST(Torus, IsDimensionOrderedAndBreaksTiesUpwards) {
  const Cluster cluster = make_cluster(torus({4, 4}));
  EXPECT_THAT(places(cluster, 0, 6), ElementsAre("gpu0", "node0", "router0", "router1", "router2",
                                                 "router6", "node6", "gpu6"));
  EXPECT_THAT(places(cluster, 3, 1),
              ElementsAre("gpu3", "node3", "router3", "router0", "router1", "node1", "gpu1"));
  EXPECT_THAT(places(cluster, 0, 15),
              ElementsAre("gpu0", "node0", "router0", "router3", "router15", "node15", "gpu15"));
}

TEST(Torus, Bisection) {
  const auto bisection = [](const std::vector<std::size_t>& size, std::size_t bundle) {
    ClusterSpec spec = torus(size, bundle);
    spec.nodes[0].nic = 1e12;
    return make_cluster(spec).bisection_bandwidth();
  };
  EXPECT_EQ(bisection({4, 4}, 1), 2 * 4 * 1e9);
  EXPECT_EQ(bisection({4, 8}, 2), 2 * 4 * 2e9);
  EXPECT_EQ(bisection({4, 4, 8}, 1), 2 * 16 * 1e9);
  EXPECT_EQ(bisection({2, 2, 2}, 1), 4 * 1e9);
}

TEST(Torus, BisectionIsTheLoadOfTheCut) {
  // Independent of the formula: the capacity of every link that leaves the first half.
  ClusterSpec spec = torus({6, 4});
  spec.nodes[0].nic = 1e12;
  const Cluster cluster = make_cluster(spec);
  double cut = 0;
  for (const Link& link : cluster.links()) {
    int from = 0, to = 0;
    if (std::sscanf(link.name.c_str(), "router%d-router%d", &from, &to) != 2) continue;
    if (from < 12 && to >= 12) cut += link.bandwidth;
  }
  EXPECT_EQ(cut, cluster.bisection_bandwidth());
}

TEST(Dragonfly, RoutesAreMinimal) {
  for (const auto& [g, a, p] : {std::tuple<std::size_t, std::size_t, std::size_t>{9, 4, 2},
                                {5, 2, 1},
                                {1, 4, 3},
                                {4, 1, 2},
                                {2, 3, 2}}) {
    const Cluster cluster = make_cluster(dragonfly(g, a, p));
    expect_sound_routes(cluster);
    for (Endpoint from = 0; from < cluster.nodes(); ++from)
      for (Endpoint to = 0; to < cluster.nodes(); ++to) {
        const std::size_t fabric = from == to ? 0 : route_of(cluster, from, to).links.size() - 4;
        if (from / p == to / p)
          EXPECT_EQ(fabric, 0u);
        else if (from / p / a == to / p / a)
          EXPECT_EQ(fabric, 1u);
        else
          EXPECT_THAT(fabric, ::testing::AllOf(::testing::Ge(1u), ::testing::Le(3u)));
      }
  }
}

TEST(Dragonfly, OneCableBetweenEveryTwoGroupsSpreadEvenly) {
  const Cluster cluster = make_cluster(dragonfly(9, 4, 2));
  for (int g = 0; g < 9; ++g) {
    std::vector<int> per_router(4);
    std::set<int> others;
    for (const Link& link : cluster.links()) {
      int from = 0, router = 0, to = 0, to_router = 0;
      if (std::sscanf(link.name.c_str(), "router%d.%d-router%d.%d", &from, &router, &to,
                      &to_router) != 4)
        continue;
      if (from != g || to == g) continue;
      ++per_router[static_cast<std::size_t>(router)];
      EXPECT_TRUE(others.insert(to).second);
    }
    EXPECT_EQ(others.size(), 8u);
    EXPECT_THAT(per_router, ElementsAre(2, 2, 2, 2));
  }
}

TEST(Dragonfly, Bisection) {
  const auto bisection = [](std::size_t groups, std::size_t routers, std::size_t nodes) {
    ClusterSpec spec = dragonfly(groups, routers, nodes,
                                 {{"link_bandwidth", "2GB/s"}, {"global_bandwidth", "5GB/s"}});
    spec.nodes[0].nic = 1e12;
    return make_cluster(spec).bisection_bandwidth();
  };
  EXPECT_EQ(bisection(8, 4, 2), 16 * 5e9);
  EXPECT_EQ(bisection(9, 4, 2), 20 * 5e9);
  EXPECT_EQ(bisection(1, 4, 2), 4 * 2e9);
}

TEST(Topology, EfficiencyReachesEveryNetworkLink) {
  for (ClusterSpec spec : {fat_tree(8, 2, {2, 2}, {1, 2}, 2), torus({2, 4}), dragonfly(4, 2, 1)}) {
    const Cluster full = make_cluster(spec);
    spec.network.efficiency = 0.5;
    const Cluster half = make_cluster(spec);
    ASSERT_EQ(full.links().size(), half.links().size());
    for (std::size_t i = 0; i < full.links().size(); ++i) {
      const double share = full.links()[i].kind == LinkKind::pcie ? 1 : 0.5;
      EXPECT_EQ(half.links()[i].bandwidth, share * full.links()[i].bandwidth);
    }
    EXPECT_EQ(half.bisection_bandwidth(), full.bisection_bandwidth() / 2);
  }
}

ClusterSpec random_spec(std::mt19937& random) {
  const auto pick = [&](std::size_t low, std::size_t high) {
    return std::uniform_int_distribution<std::size_t>(low, high)(random);
  };
  const auto ratio = [&] { return static_cast<double>(pick(1, 4)); };
  ClusterSpec spec;
  switch (pick(0, 4)) {
    case 0:
      spec = small_spec(pick(1, 20));
      break;
    case 1:
      spec = fat_tree(pick(1, 30), pick(1, 6), {ratio()}, {pick(1, 4)});
      break;
    case 2:
      spec = fat_tree(pick(1, 30), pick(1, 4), {1, ratio()}, {pick(1, 3), pick(1, 3)}, pick(1, 4));
      break;
    case 3:
      spec = torus({pick(1, 4), pick(1, 4), pick(1, 3)});
      break;
    case 4:
      spec = dragonfly(pick(1, 6), pick(1, 4), pick(1, 3));
      break;
  }
  // The same nodes in up to two unlike groups.
  NodeGroup& first = spec.nodes[0];
  first.gpus = pick(1, 4);
  if (pick(0, 1) == 1) first.bridge = 8e9;
  if (pick(0, 1) == 1) first.nvlink = LinkSpec{100e9, 0, 0, 1};
  first.peers_cross_bridge = pick(0, 1) == 1;
  if (first.count > 1) {
    NodeGroup second = first;
    second.name = "second";
    second.count = pick(1, first.count - 1);
    second.gpus = pick(0, 3);
    second.nic = 2e9;
    second.nvlink.reset();
    first.count -= second.count;
    spec.nodes.push_back(second);
  }
  return spec;
}

TEST(Topology, RandomClustersAreSound) {
  std::mt19937 random(20240611);
  for (int i = 0; i < 60; ++i) {
    const ClusterSpec spec = random_spec(random);
    SCOPED_TRACE(spec.network.topology.kind() + " of " + std::to_string(spec.node_count()) +
                 " nodes");
    const Cluster cluster = make_cluster(spec);
    expect_sound_routes(cluster);
    std::set<std::string> names;
    for (const Link& link : cluster.links()) {
      EXPECT_TRUE(names.insert(link.name).second) << link.name;
      EXPECT_GT(link.bandwidth, 0);
      EXPECT_TRUE(std::isfinite(link.bandwidth));
    }
    EXPECT_GT(cluster.bisection_bandwidth(), 0);
  }
}

}  // namespace
}  // namespace paceline
