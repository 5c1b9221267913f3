#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/flat/routes.hpp"
#include "sim/network/network.hpp"

namespace paceline {

/// Max-min fair flows in flat arrays, driven by the clock alone: what SimGrid's network answers
/// (the tests hold one against the other), at the cost that the traffic itself asks for.
///
/// A flow that has all of its links to itself is a timer, and so is a set of flows that do. Flows
/// that share links are solved together with all that they are connected to through links, once for
/// each date at which any of them begins or ends. Equal flows that start together on one route are
/// one flow with a weight.
class FlatNetwork final : public FluidNetwork {
 public:
  FlatNetwork(const Cluster& cluster, Clock& clock);

  void transfer(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
                std::uint64_t argument) override;
  void transfer_all(const Set& set, double bytes, Clock::Fire fire, void* self,
                    std::uint64_t argument) override;
  void set_bandwidth(LinkId link, double bytes_per_second) override;
  void run() override { clock_.run(); }

 private:
  using FlowId = std::uint32_t;
  using ComponentId = std::uint32_t;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Arrival {
    Clock::Fire fire;
    void* self;
    std::uint64_t argument;
  };
  struct Flow {
    Arrival arrival{};
    double left = 0;   // bytes, at `since`
    double rate = 0;   // bytes/s from then on
    double since = 0;  // s
    double date = 0;   // of its end at that rate; of a flow that shares links
    RouteTable::Id route = 0;
    std::uint32_t weight = 1;
    std::uint32_t generation = 0;   // of its timer
    ComponentId component = kNone;  // kNone: not solved yet, or a timer
    double next_rate = 0;
    double bytes = 0, started = 0;
    std::uint64_t number = 0;  // in order of start
    bool under_way = false;
    bool listed = false;                 // stands in its links' lists: shares, or has shared, one
    std::vector<std::uint32_t> places;   // listed: in the lists of its links
    std::vector<Arrival> more_arrivals;  // of the equal ones: weight - 1
  };
  // A set whose transfers have all of their links to themselves: one timer.
  struct SetRun {
    const Set* set = nullptr;
    double bytes = 0, started = 0;
    Arrival arrival{};
    std::uint32_t generation = 0;  // of its timer
  };
  static constexpr std::uint32_t kSet = 1U << 31;  // LinkState::lone: a set's number
  struct Crossing {
    FlowId flow;
    std::uint32_t hop;  // which of the flow's links
  };
  struct LinkState {
    double capacity = 0;
    FlowId lone = kNone;  // the one flow on it, a timer; or the set that it is of
    bool dirty = false;   // flows have come or gone, or its bandwidth has changed
    std::uint32_t seen = 0;
    // While solving: what is left for the flows whose rate is open, their weight, and their share.
    std::uint32_t open = 0;
    double left = 0, level = 0;
    std::vector<Crossing> flows;  // listed ones
    [[nodiscard]] bool idle() const { return lone == kNone && flows.empty(); }
  };
  // Flows connected through the links that they share. Dissolved when one of them ends, or one
  // joins.
  struct Component {
    std::vector<FlowId> flows;
    std::uint32_t generation = 0;  // of its timer: the first of its flows to end
    bool alive = false;
  };

  [[nodiscard]] static std::uint64_t ticket(std::uint32_t id, std::uint32_t generation) {
    return std::uint64_t{generation} << 32 | id;
  }
  FlowId new_flow(RouteTable::Id route, double bytes, double started, const Arrival& arrival);
  [[nodiscard]] std::uint32_t new_set();
  [[nodiscard]] double time_alone(const Set& set, std::size_t transfer, double bytes) const;
  void end_set(std::uint32_t number);
  void take_apart(std::uint32_t number);
  void leave_alone(LinkId link);
  bool join_equal(RouteTable::Id route, double bytes, const Arrival& arrival);
  void start_alone(FlowId id);
  void set_timer(FlowId id);
  void list(FlowId id);
  void progress(Flow& flow) const;
  void mark(LinkId link);
  void remove(FlowId id);
  void end_alone(FlowId id);
  void end_component(ComponentId id);
  void take_arrivals(Flow& flow);
  void fire_arrivals();

  void solve();
  ComponentId new_component();
  void dissolve(ComponentId id);
  void gather(LinkId first, ComponentId into);
  void share(const Component& component);
  void fix(Flow& flow, double rate);
  void set_rates(ComponentId id);

  Clock& clock_;
  RouteTable routes_;
  std::vector<LinkState> links_;
  std::vector<FlowId> newest_;  // by route
  std::vector<Flow> flows_;
  std::vector<FlowId> free_flows_;
  std::vector<SetRun> sets_;
  std::vector<std::uint32_t> free_sets_;
  std::vector<Component> components_;
  std::vector<ComponentId> free_components_;
  std::vector<LinkId> dirty_;
  std::uint64_t started_ = 0;
  std::uint32_t epoch_ = 0;
  bool solve_due_ = false;
  // Scratch
  std::vector<LinkId> span_, active_, full_;
  std::vector<FlowId> ending_, limited_;
  std::vector<Arrival> arrivals_;
};

}  // namespace paceline
