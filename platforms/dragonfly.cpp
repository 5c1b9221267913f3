#include <fmt/format.h>

#include "platforms/topology.hpp"

namespace paceline {
namespace {

/// Kim, Dally, Scott, Abts, "Technology-driven, highly-scalable dragonfly topology", ISCA 2008:
/// groups of routers joined all-to-all, and one cable between every two groups. A group spreads its
/// cables over its routers in order, to the next group first (consecutive arrangement). Minimal
/// routing: at most one hop inside the first group, the one cable to the other group, one hop
/// there.
class Dragonfly final : public Topology {
 public:
  Dragonfly(const NetworkSpec& network, LinkTable& table)
      : groups_(network.topology.groups),
        routers_(network.topology.routers),
        nodes_per_router_(network.topology.nodes_per_router),
        cables_per_router_((groups_ + routers_ - 2) / routers_) {
    const TopologySpec& t = network.topology;
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

}  // namespace

std::unique_ptr<Topology> make_dragonfly(const NetworkSpec& network, LinkTable& table) {
  return std::make_unique<Dragonfly>(network, table);
}

}  // namespace paceline
