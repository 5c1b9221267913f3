#pragma once

#include <cstdint>
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
///
/// Flows that one link holds back have one rate: they are opened and fixed as a group, whose effect
/// on other links stands in one array.
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
  [[nodiscard]] bool idle(LinkId link) const { return members_[link].empty(); }

  /// Some rates are open: solve() is to be called before time goes on.
  [[nodiscard]] bool open() const { return open_ > 0; }
  /// Fixes all rates. Those flows whose rates may have changed, some perhaps twice: valid until the
  /// next change.
  const std::vector<FlowId>& solve();
  /// Bytes/s of each of the equal flows.
  [[nodiscard]] double rate(FlowId id) const {
    const Flow& flow = flows_[id];
    return flow.group < groups_.size() ? groups_[flow.group].rate : flow.rate;
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  // Flow::group of flows that no link holds back: open ones, and those at their most.
  static constexpr std::uint32_t kLoose = UINT32_MAX, kAtMost = UINT32_MAX - 1;

  struct Flow {
    double most = 0;
    double rate = 0;  // in no group: its own
    double weight = 1;
    RouteTable::Id route = 0;
    std::uint32_t group = kLoose;  // the link that holds it back
    std::uint32_t slot = 0;        // in its group
  };
  struct Crossing {
    FlowId flow;
    std::uint32_t hop;  // which of the flow's links
  };
  struct Link {
    double left = 0;          // by the flows that are not open
    double open_weight = 0;   // of the others
    double passing_most = 0;  // none that is neither open nor of the link's group is faster
    double capacity = 0;
    std::uint32_t changes = 0;    // of `left`, which round
    std::uint32_t place = kNone;  // in active_
    bool touched = false;         // its level is to be renewed
  };
  struct Effect {
    LinkId link;
    double weight;
  };
  // Flows that one link holds back.
  struct Group {
    double rate = 0;
    double solved_rate = 0;  // after the last filling
    double weight = 0;
    bool open = false;
    bool opened = false;  // stands in opened_
    std::vector<FlowId> flows;
    std::vector<Effect> effects;  // others_ to a flow: on the other links that it crosses
  };
  using Limit = std::pair<double, FlowId>;

  [[nodiscard]] std::span<const LinkId> route(const Flow& flow) const {
    return routes_.links(flow.route);
  }
  [[nodiscard]] std::uint32_t& place(FlowId flow, std::size_t hop) {
    return places_[flow * (others_ + 1) + hop];
  }
  [[nodiscard]] bool is_open(const Flow& flow) const {
    return flow.group == kLoose || (flow.group != kAtMost && groups_[flow.group].open);
  }
  void make_room(FlowId id, std::size_t hops);
  void touch(LinkId id) {
    if (links_[id].touched) return;
    links_[id].touched = true;
    touched_.push_back(id);
  }
  void put_effects(FlowId id, LinkId group);
  void join(FlowId id, LinkId group);
  void leave_group(FlowId id);
  void take(const Flow& flow, double rate);
  void open(FlowId id);
  void open_group(LinkId id);
  void release(LinkId id) {
    if (!groups_[id].open && !groups_[id].flows.empty()) open_group(id);
  }
  void renew_levels();
  void queue_limit(FlowId id);
  bool open_faster(LinkId id);
  void fix_at_most(FlowId id);
  void gather_open(LinkId id);
  void fix_group(LinkId id);
  void report();

  const RouteTable& routes_;
  std::vector<Link> links_;                     // and one that is none
  std::vector<std::vector<Crossing>> members_;  // by link: all flows
  std::vector<Group> groups_;                   // by link
  std::vector<Flow> flows_;
  std::vector<std::uint32_t> places_;  // by flow and hop: among the members of its links
  std::size_t others_ = 0;             // hops of a flow, but one
  std::vector<LinkId> opened_;         // groups, since the last filling
  std::vector<FlowId> changed_;        // by the last filling
  std::vector<FlowId> moved_;          // into another group, or to their most
  std::size_t open_ = 0;
  bool limited_ = false;                  // some flow has had a most
  double level_ = 0;                      // all open flows have come to this rate
  std::vector<LinkId> active_, touched_;  // active: those with open flows
  std::vector<double> levels_;            // of the active links: the rate at which each is full
  std::vector<Limit> limits_;  // a heap, the lowest in front: of the open flows that have one
};

}  // namespace paceline
