#pragma once

#include <memory>
#include <string>
#include <vector>

#include "platforms/cluster.hpp"

namespace paceline {

/// One direction of a cable as routes see it. An infinitely fast one takes no place in the table of
/// links: only its latency is left.
struct Lane {
  static constexpr LinkId kNoLink = UINT32_MAX;
  LinkId link = kNoLink;
  double latency = 0;

  void append_to(Route& route) const {
    if (link != kNoLink) route.links.push_back(link);
    route.latency += latency;
  }
};

/// The links made so far.
class LinkTable {
 public:
  Lane add(std::string name, LinkKind kind, double bandwidth, double latency);
  std::vector<Link> take() { return std::move(links_); }

 private:
  std::vector<Link> links_;
};

/// The switches or routers between the nodes' ports.
class Topology {
 public:
  Topology() = default;
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;
  virtual ~Topology() = default;

  /// Name of the switch or router that `node` is plugged into.
  [[nodiscard]] virtual std::string switch_of(std::size_t node) const = 0;
  /// Appends what lies between the port of `from` and that of another node `to`.
  virtual void append_route(std::size_t from, std::size_t to, Route& route) const = 0;
  /// Bytes/s one way between two halves of the nodes, ports not counted.
  [[nodiscard]] virtual double bisection_bandwidth() const = 0;
};

/// The topology of a valid `spec`; its links go into `table`.
std::unique_ptr<Topology> make_topology(const ClusterSpec& spec, LinkTable& table);

std::unique_ptr<Topology> make_fat_tree(const NetworkSpec& network, std::size_t nodes,
                                        LinkTable& table);
std::unique_ptr<Topology> make_torus(const NetworkSpec& network, std::size_t nodes,
                                     LinkTable& table);
std::unique_ptr<Topology> make_dragonfly(const NetworkSpec& network, LinkTable& table);

}  // namespace paceline
