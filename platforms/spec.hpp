#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platforms/gpus.hpp"

// What a cluster file says, as plain data: nothing here computes. SI units: seconds, bytes,
// bytes/s. `read_cluster` (cluster_file.hpp) fills it from JSON; `make_cluster` (cluster.hpp)
// builds from it.
namespace paceline {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kLeastBandwidth = 1 / 8.0;  ///< bytes/s: slower is no link

/// 0..gpus-1: the GPUs in rank order (node-major); gpus..gpus+nodes-1: the hosts (CPU and memory).
using Endpoint = std::uint32_t;

/// One class of point-to-point link, the same in both directions (each direction is a link of its
/// own).
struct LinkSpec {
  double bandwidth = kInfinity;  ///< line rate of one direction
  double latency = 0;            ///< of one direction of one link
  double overhead = 0;    ///< software cost of one message whose slowest class of link is this one
  double efficiency = 1;  ///< share of the line rate that payload gets, [0.001, 1]
  bool operator==(const LinkSpec&) const = default;
};

/// Electric power that something draws, in watts: `idle` always, and up to `busy` while it is used.
struct Draw {
  double idle = 0, busy = 0;
  [[nodiscard]] double at(double use) const { return idle + (busy - idle) * use; }
  bool operator==(const Draw&) const = default;
};

/// What it costs to have and to run a thing, one of several kinds; nothing where nobody says. Prices
/// in dollars an hour, or another currency's.
struct Upkeep {
  std::optional<double> price;
  std::optional<Draw> power;
  bool operator==(const Upkeep&) const = default;
};

/// The CPU and memory of a node, where parameter servers live.
struct HostSpec {
  double memory_bandwidth = kInfinity;  ///< what a server's update streams at
  double memory_bytes = kInfinity;
  bool operator==(const HostSpec&) const = default;
};

/// PCIe roots of a node (its CPU sockets): the first GPUs are under the first of them, and so on.
struct RootSpec {
  std::size_t count = 2;         ///< divides the GPUs of the node
  double bandwidth = kInfinity;  ///< line rate of each root's link to the others, QPI or UPI
  bool operator==(const RootSpec&) const = default;
};

/// `count` equal nodes.
struct NodeGroup {
  std::string name;
  std::size_t count = 1;
  std::size_t gpus = 1;  ///< per node; 0 for a machine that only hosts parameter servers
  std::string gpu;       ///< a name of gpus.hpp or, with `card`, any other; empty without GPUs
  std::optional<GpuSpec> card;     ///< what the user says of it; else the table does
  double speed = 1;                ///< of each GPU against its profile: 0.5 is half as fast
  LinkSpec pcie;                   ///< GPU to its host, per GPU
  std::optional<LinkSpec> nvlink;  ///< GPU to GPU inside the node, per GPU
  std::optional<double> bridge;    ///< bandwidth between all GPUs of the node and its host together
  bool peers_cross_bridge =
      true;  ///< GPU to GPU over PCIe goes through the host, not a switch below it
  std::optional<RootSpec> roots;  ///< GPU to GPU over PCIe crosses between them; none: one root
  std::optional<double> nic;      ///< line rate of the node's port; default: network.bandwidth
  HostSpec host;
  Upkeep gpu_upkeep;   ///< of each GPU; busy: while its compute stream is
  Upkeep node_upkeep;  ///< of each node, besides its GPUs
  bool operator==(const NodeGroup&) const = default;
};

class TopologyDescription;

/// How the nodes are joined: a kind and its fields, {"kind": "torus", "dimensions": [4, 4]}. Each
/// kind is a file of its own (topology.hpp), which alone knows its fields.
class TopologySpec {
 public:
  TopologySpec();  ///< a star
  explicit TopologySpec(std::shared_ptr<const TopologyDescription> description);

  [[nodiscard]] std::string kind() const;  ///< as in the file: "fat_tree"
  /// The SimGrid platform file that brings hosts, links and routes and that the simulator loads;
  /// empty for every other kind.
  [[nodiscard]] std::string platform_file() const;
  [[nodiscard]] const TopologyDescription& description() const { return *description_; }
  bool operator==(const TopologySpec& other) const;

 private:
  std::shared_ptr<const TopologyDescription> description_;
};

struct NetworkSpec {
  double bandwidth = kInfinity;  ///< line rate of a node's port
  double latency = 0;     ///< end to end between two nodes under one switch, paid once per message
  double overhead = 0;    ///< software cost of one message between nodes
  double efficiency = 1;  ///< share of the line rate that payload gets, of every network link
  double switch_latency = 0;  ///< of every switch beyond the first
  double flow_bandwidth =
      kInfinity;  ///< most that one message gets; of the software: not in a cluster's file
  bool own_host_over_port = false;  ///< a host's messages to itself; of the software, too
  TopologySpec topology;
  Upkeep port_upkeep;  ///< of each node's port, both its ends
  Upkeep link_upkeep;  ///< of each link between switches
  bool operator==(const NetworkSpec&) const = default;
};

// Disturbances: read and checked here, given meaning by the simulator.

/// GPU `worker` runs `slowdown` times slower between two dates.
struct Straggler {
  std::uint32_t worker = 0;
  double slowdown = 1;  ///< >= 1
  double from = 0;
  double until = kInfinity;
  bool operator==(const Straggler&) const = default;
};

/// From date `at` on, every link whose name matches has `factor` times its described bandwidth.
struct LinkEvent {
  std::string links;  ///< a link name; '*' stands for any characters
  double at = 0;
  double factor = 1;  ///< > 0; 1 restores the link
  bool operator==(const LinkEvent&) const = default;
};

/// Somebody else's traffic.
struct BackgroundTraffic {
  Endpoint from = 0;
  Endpoint to = 0;
  double rate = 0;  ///< bytes/s it asks for
  double since = 0;
  double until = kInfinity;
  bool operator==(const BackgroundTraffic&) const = default;
};

/// Spread of the time of one operation about the profile's; `profile` takes the profile's own
/// quartiles.
struct Jitter {
  enum class Distribution { none, normal, lognormal, gamma, profile };
  static constexpr double kLeastCv = 1e-4, kMostCv = 10;  ///< where a cv is needed

  Distribution distribution = Distribution::none;
  double cv = 0;  ///< standard deviation / mean; not used by none and profile
  [[nodiscard]] bool needs_cv() const {
    return distribution != Distribution::none && distribution != Distribution::profile;
  }
  bool operator==(const Jitter&) const = default;
};

struct ClusterSpec {
  std::string name;
  std::string description;
  std::map<std::string, std::string> sources;  ///< where each figure comes from, by subject
  std::vector<NodeGroup> nodes;
  NetworkSpec network;
  std::vector<std::size_t> servers;  ///< nodes that may host a parameter server; empty: all
  std::vector<Straggler> stragglers;
  std::vector<LinkEvent> link_events;
  std::vector<BackgroundTraffic> background;
  Jitter jitter;
  std::string file;  ///< where it was read from, for messages

  [[nodiscard]] std::size_t node_count() const;
  [[nodiscard]] std::size_t gpu_count() const;
  bool operator==(const ClusterSpec&) const = default;
};

/// Throws InputError "<file>: $.<path>: ..." for what cannot be built. Links named by link_events
/// are checked when the cluster is built.
void validate(const ClusterSpec& spec);

}  // namespace paceline
