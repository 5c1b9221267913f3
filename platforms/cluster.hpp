#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "platforms/spec.hpp"

namespace paceline {

using LinkId = std::uint32_t;

enum class LinkKind { pcie, nvlink, nic, fabric, loopback };

/// One direction of a cable. `name` is "<from>-<to>", e.g. "gpu3-node0", "node0-leaf0",
/// "leaf0-spine1".
struct Link {
  std::string name;
  LinkKind kind = LinkKind::nic;
  double bandwidth = 0;  ///< bytes/s that payload gets: line rate x efficiency; always finite
  double latency = 0;    ///< s
};

/// What one message pays: links.size() shared links and `latency`, its alpha: the latencies of
/// everything on the way, infinitely fast links included (those are not in `links`), plus the
/// software overhead.
struct Route {
  std::vector<LinkId> links;
  double latency = 0;
  double most = kInfinity;  ///< bytes/s that this one message gets at most, whatever the links
};

struct Device {
  std::uint32_t node = 0;
  std::string gpu;   ///< a name of gpus.hpp, or the file's own for a GPU that is not there
  double speed = 1;  ///< 1: as profiled; 0.5: half as fast
  std::shared_ptr<const GpuSpec> card;  ///< what is known of it

  [[nodiscard]] double memory_bytes() const { return card->memory_bytes; }  ///< 0: not known
};

/// A cluster: devices, hosts, directed links, and the route between any two endpoints. Immutable;
/// copies share the routing function.
class Cluster {
 public:
  using RouteFunction = std::function<void(Endpoint from, Endpoint to, Route& out)>;

  /// From an explicit table of links. `route` gets an empty `out` and two different endpoints in
  /// range, appends to it, and throws InputError if there is no way. Throws InputError if `spec` is
  /// invalid or names a link that is not in the table.
  Cluster(ClusterSpec spec, std::vector<Link> links, RouteFunction route,
          double bisection_bandwidth = std::numeric_limits<double>::quiet_NaN());

  [[nodiscard]] const std::string& name() const { return spec_.name; }
  [[nodiscard]] const ClusterSpec& spec() const { return spec_; }
  [[nodiscard]] std::size_t gpus() const { return devices_.size(); }
  [[nodiscard]] std::size_t nodes() const { return host_groups_.size(); }
  [[nodiscard]] std::size_t endpoints() const { return gpus() + nodes(); }
  [[nodiscard]] const Device& device(std::size_t gpu) const { return devices_.at(gpu); }
  [[nodiscard]] const HostSpec& host(std::size_t node) const;
  [[nodiscard]] std::size_t node_of(Endpoint endpoint) const;
  [[nodiscard]] Endpoint host_of(std::size_t node) const;
  /// "gpu3" or "node1".
  [[nodiscard]] std::string endpoint_name(Endpoint endpoint) const;
  /// The hosts that may run a parameter server, in ascending order.
  [[nodiscard]] const std::vector<Endpoint>& servers() const { return servers_; }

  [[nodiscard]] const std::vector<Link>& links() const { return links_; }
  /// The links whose name matches `pattern` ('*' stands for any characters), in ascending order.
  [[nodiscard]] std::vector<LinkId> links_matching(std::string_view pattern) const;

  /// Overwrites `out`, reusing its storage; empty with latency 0 when both are the same endpoint
  /// (but for a host whose messages to itself take its port: network.own_host_over_port).
  /// Throws InputError if there is no route and std::out_of_range for an endpoint that does not
  /// exist.
  void route(Endpoint from, Endpoint to, Route& out) const;
  /// Bytes/s of the narrowest link on the way, or what one message gets at most; infinity for a
  /// route without links.
  [[nodiscard]] double bandwidth(const Route& route) const;

  /// Bytes/s that one half of the nodes can send the other half (in rank order, one direction): the
  /// lesser of the ports of a half and the topology's closed form. For a fat tree that is half of
  /// what its narrowest level of switches passes on. Infinity for one node; NaN where unknown
  /// (XML).
  [[nodiscard]] double bisection_bandwidth() const { return bisection_bandwidth_; }

 private:
  ClusterSpec spec_;
  std::vector<Link> links_;
  RouteFunction route_;
  double bisection_bandwidth_;
  std::vector<Device> devices_;
  std::vector<std::uint32_t> host_groups_;  // node -> index in spec_.nodes
  std::vector<Endpoint> servers_;
  std::vector<std::pair<std::size_t, LinkId>> by_name_;  // (hash of the name, link), sorted
};

/// Builds links and routes of a star, fat_tree, torus or dragonfly. Throws InputError if `spec` is
/// invalid and for a topology of kind xml, which the simulator loads.
///
/// Between nodes a message goes [pcie up] nic up, fabric..., nic down [pcie down]; hosts sit at the
/// NIC. Its alpha is network.latency + network.switch_latency per fabric link + network.overhead (+
/// PCIe latencies).
Cluster make_cluster(const ClusterSpec& spec);

}  // namespace paceline
