#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/flat/end_dates.hpp"
#include "sim/network/flat/max_min.hpp"
#include "sim/network/flat/routes.hpp"
#include "sim/network/network.hpp"

namespace paceline {

/// Max-min fair flows in flat arrays, driven by the clock alone: what SimGrid's network answers
/// (the tests hold one against the other), at the cost that the traffic itself asks for.
///
/// A flow that has all of its links to itself is a timer, and so is a set of flows that do. The rates
/// of flows that share links are solved once for each date at which any of them begins or ends, as
/// far as that reaches (max_min.hpp). Equal flows that start together on one route are one flow with
/// a weight.
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
    RouteTable::Id route = 0;
    std::uint32_t weight = 1;
    std::uint32_t generation = 0;  // of its timer
    double bytes = 0, started = 0;
    std::uint64_t number = 0;  // in order of start
    bool under_way = false;
    bool listed = false;                 // in rates_: shares, or has shared, a link
    std::vector<Arrival> more_arrivals;  // of the equal ones: weight - 1
  };
  // A set whose transfers have all of their links to themselves: one timer.
  struct SetRun {
    const Set* set = nullptr;
    double bytes = 0, started = 0;
    Arrival arrival{};
    std::uint32_t generation = 0;  // of its timer
  };
  static constexpr std::uint32_t kSet = 1U << 31;  // in lone_: a set's number

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
  [[nodiscard]] bool idle(LinkId link) const { return lone_[link] == kNone && rates_.idle(link); }
  void remove(FlowId id);
  void end_alone(FlowId id);
  void end_due();
  void take_arrivals(Flow& flow);
  void fire_arrivals();
  void solve_soon();
  void solve();
  void await_first();

  Clock& clock_;
  RouteTable routes_;
  MaxMinRates rates_;           // of the listed flows
  EndDates ends_;               // of the listed flows
  std::vector<FlowId> lone_;    // by link: the one flow on it, a timer; or the set that it is of
  std::vector<FlowId> newest_;  // by route
  std::vector<Flow> flows_;
  std::vector<FlowId> free_flows_;
  std::vector<SetRun> sets_;
  std::vector<std::uint32_t> free_sets_;
  std::uint64_t started_ = 0;
  bool solve_due_ = false;
  double awaited_ = kInfinity;  // the earliest date for which there is a timer for end_due()
  // Scratch
  std::vector<FlowId> ending_;
  std::vector<Arrival> arrivals_;
};

}  // namespace paceline
