#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "platforms/cluster.hpp"

namespace paceline {

/// Nodes of one GTX 1080 Ti each with finite PCIe, 8 Gb/s ports, 10 us, 1 us per further switch.
inline ClusterSpec small_spec(std::size_t nodes, std::size_t gpus = 1) {
  ClusterSpec spec;
  spec.name = spec.file = "test";
  NodeGroup group;
  group.name = "node";
  group.count = nodes;
  group.gpus = gpus;
  group.gpu = "GTX 1080 Ti";
  group.pcie = {12e9, 0, 0, 1};
  spec.nodes = {group};
  spec.network.bandwidth = 1e9;
  spec.network.latency = 10e-6;
  spec.network.switch_latency = 1e-6;
  return spec;
}

/// The places a route visits, from its links' names "<from>-<to>"; fails if two hops are not
/// adjacent, and if the route does not lead from `from` to `to`.
inline std::vector<std::string> places(const Cluster& cluster, Endpoint from, Endpoint to) {
  Route route;
  cluster.route(from, to, route);
  std::vector<std::string> result{cluster.endpoint_name(from)};
  for (const LinkId link : route.links) {
    const std::string& name = cluster.links().at(link).name;
    const std::size_t dash = name.find('-');
    EXPECT_EQ(name.substr(0, dash), result.back()) << name;
    result.push_back(name.substr(dash + 1));
  }
  EXPECT_EQ(result.back(), cluster.endpoint_name(to));
  return result;
}

inline Route route_of(const Cluster& cluster, Endpoint from, Endpoint to) {
  Route route;
  cluster.route(from, to, route);
  return route;
}

}  // namespace paceline
