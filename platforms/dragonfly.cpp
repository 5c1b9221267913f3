#include <fmt/format.h>

#include "base/json.hpp"
#include "base/units.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

/// `groups` all-to-all groups of `routers` routers with `nodes_per_router` nodes each.
struct DragonflyFields {
  std::size_t groups = 0, routers = 0, nodes_per_router = 0;
  // Line rates inside a group and between two; default: network.bandwidth.
  std::optional<double> link_bandwidth, global_bandwidth;
};

/// Kim, Dally, Scott, Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008:
/// groups of routers joined all-to-all, and one cable between every two groups. A group spreads its
/// cables over its routers in order, to the next group first (consecutive arrangement). Minimal
/// routing: at most one hop inside the first group, the one cable to the other group, one hop
/// there.
class Dragonfly final : public Topology {
 public:
  Dragonfly(const DragonflyFields& t, const NetworkSpec& network, LinkTable& table)
      : groups_(t.groups),
        routers_(t.routers),
        nodes_per_router_(t.nodes_per_router),
        cables_per_router_((groups_ + routers_ - 2) / routers_) {
    const double local = t.link_bandwidth.value_or(network.bandwidth) * network.efficiency;
    const double global = t.global_bandwidth.value_or(network.bandwidth) * network.efficiency;
    local_.resize(groups_ * routers_ * routers_);
    global_.resize(groups_ * groups_);
    for (std::size_t g = 0; g < groups_; ++g) {
      for (std::size_t r = 0; r < routers_; ++r)
        for (std::size_t s = 0; s < routers_; ++s)
          if (r != s)
            local_[(g * routers_ + r) * routers_ + s] =
                table.add(router_name(g, r) + '-' + router_name(g, s), LinkKind::fabric, local,
                          network.switch_latency);
      for (std::size_t h = 0; h < groups_; ++h)
        if (g != h)
          global_[g * groups_ + h] =
              table.add(router_name(g, gateway(g, h)) + '-' + router_name(h, gateway(h, g)),
                        LinkKind::fabric, global, network.switch_latency);
    }
    const auto pairs = [](std::size_t n) { return static_cast<double>((n / 2) * (n - n / 2)); };
    bisection_ = groups_ > 1    ? global * pairs(groups_)
                 : routers_ > 1 ? local * pairs(routers_)
                                : kInfinity;
  }

  [[nodiscard]] std::string switch_of(std::size_t node) const override {
    const std::size_t router = node / nodes_per_router_;
    return router_name(router / routers_, router % routers_);
  }

  void append_route(std::size_t from, std::size_t to, Route& route) const override {
    const std::size_t a = from / nodes_per_router_, b = to / nodes_per_router_;
    const std::size_t group = a / routers_, to_group = b / routers_;
    if (group == to_group) {
      append_local(group, a % routers_, b % routers_, route);
      return;
    }
    append_local(group, a % routers_, gateway(group, to_group), route);
    global_[group * groups_ + to_group].append_to(route);
    append_local(to_group, gateway(to_group, group), b % routers_, route);
  }

  [[nodiscard]] double bisection_bandwidth() const override { return bisection_; }

 private:
  static std::string router_name(std::size_t group, std::size_t router) {
    return fmt::format("router{}.{}", group, router);
  }

  /// The router of `group` that holds the cable to group `other`.
  [[nodiscard]] std::size_t gateway(std::size_t group, std::size_t other) const {
    return (other + groups_ - group - 1) % groups_ / cables_per_router_;
  }

  void append_local(std::size_t group, std::size_t from, std::size_t to, Route& route) const {
    if (from != to) local_[(group * routers_ + from) * routers_ + to].append_to(route);
  }

  std::size_t groups_, routers_, nodes_per_router_, cables_per_router_;
  std::vector<Lane> local_;   // [group][from router][to router]
  std::vector<Lane> global_;  // [from group][to group]
  double bisection_;
};

class DragonflyDescription final : public TopologyDescription {
 public:
  explicit DragonflyDescription(const DragonflyFields& fields) : fields_(fields) {}
  [[nodiscard]] std::string kind() const override { return "dragonfly"; }
  [[nodiscard]] Json write() const override {
    Json json{{"groups", fields_.groups},
              {"routers", fields_.routers},
              {"nodes_per_router", fields_.nodes_per_router}};
    if (fields_.link_bandwidth) json["link_bandwidth"] = write_bandwidth(*fields_.link_bandwidth);
    if (fields_.global_bandwidth)
      json["global_bandwidth"] = write_bandwidth(*fields_.global_bandwidth);
    return json;
  }
  void check(const TopologyChecker& checker) const override {
    checker.bandwidth("link_bandwidth", fields_.link_bandwidth);
    checker.bandwidth("global_bandwidth", fields_.global_bandwidth);
    checker.places("", {fields_.groups, fields_.routers, fields_.nodes_per_router});
    checker.links(fields_.groups * fields_.routers * fields_.routers +
                  fields_.groups * fields_.groups);
  }
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec& spec,
                                                LinkTable& table) const override {
    return std::make_unique<Dragonfly>(fields_, spec.network, table);
  }

 private:
  DragonflyFields fields_;
};

}  // namespace

extern const TopologyEntry kDragonfly{
    "dragonfly", 4, [](ObjectReader& reader) -> std::shared_ptr<const TopologyDescription> {
      DragonflyFields fields;
      fields.groups = size_of(reader, "groups");
      fields.routers = size_of(reader, "routers");
      fields.nodes_per_router = size_of(reader, "nodes_per_router");
      fields.link_bandwidth = optional_bandwidth(reader, "link_bandwidth");
      fields.global_bandwidth = optional_bandwidth(reader, "global_bandwidth");
      return std::make_shared<DragonflyDescription>(fields);
    }};

}  // namespace paceline
