#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/object_reader.hpp"
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

/// Says what of a topology cannot be built, with the path of its JSON form.
class TopologyChecker {
 public:
  using Fail = std::function<void(const std::string& path, const std::string& message)>;
  TopologyChecker(std::size_t nodes, Fail fail) : nodes_(nodes), fail_(std::move(fail)) {}

  [[nodiscard]] std::size_t nodes() const { return nodes_; }
  /// Throws InputError at `key`, or at the topology itself.
  void fail(const std::string& key, const std::string& message) const;
  void bandwidth(const std::string& key, const std::optional<double>& value) const;
  /// Whether the factors make a place for every node.
  void places(const std::string& key, const std::vector<std::size_t>& factors) const;
  void links(std::size_t count) const;

 private:
  std::size_t nodes_;
  Fail fail_;
};

/// A kind of topology as a cluster file describes it, immutable.
class TopologyDescription {
 public:
  TopologyDescription() = default;
  TopologyDescription(const TopologyDescription&) = delete;
  TopologyDescription& operator=(const TopologyDescription&) = delete;
  virtual ~TopologyDescription() = default;

  [[nodiscard]] virtual std::string kind() const = 0;
  /// Every field except the kind.
  [[nodiscard]] virtual Json write() const = 0;
  virtual void check(const TopologyChecker& checker) const = 0;
  /// The links go into `table`. Throws InputError where there is none without the simulator.
  [[nodiscard]] virtual std::unique_ptr<Topology> build(const ClusterSpec& spec,
                                                        LinkTable& table) const = 0;
  [[nodiscard]] virtual std::string platform_file() const { return ""; }
  /// NICs of each node, every one with a port of the node's rate.
  [[nodiscard]] virtual std::size_t rails() const { return 1; }
};

/// What the file of a topology defines, as `extern const TopologyEntry kTorus{...}`: nobody else names
/// it (cmake/PacelineCollect.cmake).
struct TopologyEntry {
  std::string_view kind;
  int place;  ///< in lists
  std::shared_ptr<const TopologyDescription> (*read)(ObjectReader& fields);
};

/// All of them, by place.
const std::vector<const TopologyEntry*>& topology_entries();

// Readers of fields that several topologies have.
std::optional<double> optional_bandwidth(ObjectReader& reader, std::string_view key);
std::size_t size_of(ObjectReader& reader, std::string_view key);  ///< 1 or more
/// Whole numbers of 0 or more.
std::vector<std::size_t> sizes_of(ObjectReader& reader, std::string_view key);

}  // namespace paceline
