#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/network/flat/routes.hpp"

namespace paceline {

/// The max-min fair rates of flows over links, kept while flows come and go.
///
/// Progressive filling (Bertsekas and Gallager, Data Networks, 6.5.2) raises all rates together; a
/// link that is full fixes those of the flows on it, and a flow that has reached its own most is
/// fixed at that. Rates are max-min fair if and only if every flow has such a bottleneck: a full link
/// on which no flow is faster, or its most. So a change opens only flows that lose theirs, and the
/// filling runs over those, what the others take being off the links:
///   - where a flow leaves or becomes slower, the flows that the link holds back;
///   - where a link is full at a rate, the flows on it that are faster.
/// Neither lies below the rate that the filling has come to, so that it goes up once.
class MaxMinRates {
 public:
  using FlowId = std::uint32_t;

  /// `routes` must outlive it.
  MaxMinRates(const Cluster& cluster, const RouteTable& routes);

  /// A flow that counts as `weight` equal ones. Its route must have links.
  void add(FlowId id, RouteTable::Id route, std::uint32_t weight);
  void remove(FlowId id);
  void set_capacity(LinkId link, double bytes_per_second);
  [[nodiscard]] double capacity(LinkId link) const { return links_[link].capacity; }
  [[nodiscard]] bool idle(LinkId link) const { return links_[link].members.empty(); }

  /// Some rates are open: solve() is to be called before time goes on.
  [[nodiscard]] bool open() const { return open_ > 0; }
  /// Fixes all rates. Those which were open, whose rates may have changed: valid until the next
  /// change.
  const std::vector<FlowId>& solve();
  /// Bytes/s of each of the equal flows.
  [[nodiscard]] double rate(FlowId id) const { return flows_[id].rate; }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Flow {
    double rate = 0;
    double most = 0;
    RouteTable::Id route = 0;
    std::uint32_t weight = 1;
    bool open = false;
    bool opened = false;  // stands in opened_
  };
  struct Crossing {
    FlowId flow;
    std::uint32_t hop;  // which of the flow's links
  };
  struct Link {
    double capacity = 0;
    double left = 0;  // by the flows that are not open
    // Those that this link holds back (all at bound_rate), then open flows, then the others, none of
    // which is faster than passing_most.
    std::vector<Crossing> members;
    std::uint32_t bound_end = 0, open_end = 0;
    std::uint32_t open_weight = 0;
    double bound_rate = 0, passing_most = 0;
    std::uint32_t changes = 0;  // of `left`, which round
    // While filling
    std::uint32_t place = kNone;  // in active_
    bool touched = false;         // its level is to be renewed

    [[nodiscard]] double level() const { return left / open_weight; }
  };
  using Limit = std::pair<double, FlowId>;

  [[nodiscard]] std::span<const LinkId> route(const Flow& flow) const {
    return routes_.links(flow.route);
  }
  [[nodiscard]] std::uint32_t& place(FlowId flow, std::size_t hop) {
    return places_[flow * stride_ + hop];
  }
  void swap(Link& link, std::uint32_t a, std::uint32_t b);
  void make_places(FlowId id, std::size_t hops);
  void list(FlowId id);
  void open(FlowId id);
  void release(Link& link);
  void touch(LinkId id) {
    if (links_[id].touched) return;
    links_[id].touched = true;
    touched_.push_back(id);
  }
  void renew_levels();
  void queue_limit(FlowId id);
  bool open_faster(Link& link);
  void fix(FlowId id, double rate, LinkId bottleneck);

  const RouteTable& routes_;
  std::vector<Link> links_;
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> places_;  // by flow and hop: among the members of its links
  std::size_t stride_ = 1;             // hops of a flow in places_
  std::vector<FlowId> opened_;         // since the last filling
  std::vector<FlowId> changed_;        // by the last filling
  std::size_t open_ = 0;
  // While filling
  bool filling_ = false;
  double level_ = 0;                      // all open flows have come to this rate
  std::vector<LinkId> active_, touched_;  // active: those with open flows
  std::vector<double> levels_;            // of the active links: the rate at which each is full
  std::vector<Limit> limits_;  // a heap, the lowest in front: of the open flows that have one
};

}  // namespace paceline
