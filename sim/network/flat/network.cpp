#include "sim/network/flat/network.hpp"

#include <algorithm>

namespace paceline {
namespace {

// As SimGrid counts, in 1024ths of a byte: less than half of one is nothing.
constexpr double kLeastBytes = 0.5 / 1024;

// Dates that differ only by rounding are one.
constexpr double kSameDate = 1e-12;

}  // namespace

FlatNetwork::FlatNetwork(const Cluster& cluster, Clock& clock)
    : clock_(clock),
      routes_(cluster),
      rates_(cluster, routes_),
      lone_(cluster.links().size(), kNone) {}

void FlatNetwork::transfer(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
                           std::uint64_t argument) {
  const RouteTable::Id route = routes_.of(from, to);
  const std::span<const LinkId> links = routes_.links(route);
  if (bytes < kLeastBytes || links.empty()) {
    clock_.at(clock_.now(), fire, self, argument);
    return;
  }
  if (join_equal(route, bytes, {fire, self, argument})) return;
  start_alone(new_flow(route, bytes, clock_.now(), {fire, self, argument}));
}

FlatNetwork::FlowId FlatNetwork::new_flow(RouteTable::Id route, double bytes, double started,
                                          const Arrival& arrival) {
  if (free_flows_.empty()) {
    flows_.emplace_back();
    free_flows_.push_back(static_cast<FlowId>(flows_.size() - 1));
  }
  const FlowId id = free_flows_.back();
  free_flows_.pop_back();
  Flow& flow = flows_[id];
  flow.arrival = arrival;
  flow.left = flow.bytes = bytes;
  flow.rate = 0;
  flow.since = flow.started = started;
  flow.route = route;
  flow.weight = 1;
  flow.number = started_++;
  flow.under_way = true;
  newest_.resize(routes_.size(), kNone);
  newest_[route] = id;
  return id;
}

// One more of the flow that has just started on this route.
bool FlatNetwork::join_equal(RouteTable::Id route, double bytes, const Arrival& arrival) {
  const FlowId id = route < newest_.size() ? newest_[route] : kNone;
  if (id == kNone) return false;
  Flow& flow = flows_[id];
  if (!flow.under_way || flow.route != route || flow.started != clock_.now() || flow.bytes != bytes)
    return false;
  flow.more_arrivals.push_back(arrival);
  ++flow.weight;
  if (flow.listed) {
    rates_.remove(id);
    rates_.add(id, route, flow.weight);
    solve_soon();
  } else {
    set_timer(id);
  }
  return true;
}

// As a timer if its links are idle.
void FlatNetwork::start_alone(FlowId id) {
  const RouteTable::Id route = flows_[id].route;
  std::size_t taken = 0;  // a link that stands twice on the route is not idle the second time
  const std::size_t hops = routes_.links(route).size();
  while (taken < hops && idle(routes_.links(route)[taken]))
    lone_[routes_.links(route)[taken++]] = id;
  if (taken == hops) return set_timer(id);
  for (std::size_t i = 0; i < taken; ++i) lone_[routes_.links(route)[i]] = kNone;
  for (std::size_t i = 0; i < hops; ++i) {
    const LinkId link = routes_.links(route)[i];
    leave_alone(link);
    if (lone_[link] != kNone) list(lone_[link]);
  }
  list(id);
}

// ---- sets

void FlatNetwork::transfer_all(const Set& set, double bytes, Clock::Fire fire, void* self,
                               std::uint64_t argument) {
  const std::uint32_t number = new_set();
  const std::vector<LinkId>& links = set.links();
  std::size_t taken = 0;
  while (taken < links.size() && idle(links[taken])) lone_[links[taken++]] = kSet | number;
  if (taken < links.size()) {  // a link is shared, be it by two transfers of the set
    for (std::size_t i = 0; i < taken; ++i) lone_[links[i]] = kNone;
    free_sets_.push_back(number);
    FluidNetwork::transfer_all(set, bytes, fire, self, argument);
    return;
  }
  SetRun& run = sets_[number];
  run.set = &set;
  run.bytes = bytes;
  run.started = clock_.now();
  run.arrival = {fire, self, argument};
  double longest = 0;
  for (std::size_t i = 0; i < set.transfers().size(); ++i)
    longest = std::max(longest, time_alone(set, i, bytes));
  clock_.after(
      longest,
      [](void* network, std::uint64_t timer) {
        auto* on = static_cast<FlatNetwork*>(network);
        const auto due = static_cast<std::uint32_t>(timer);
        if (on->sets_[due].generation == timer >> 32) on->end_set(due);
      },
      this, ticket(number, run.generation));
}

std::uint32_t FlatNetwork::new_set() {
  if (free_sets_.empty()) {
    sets_.emplace_back();
    free_sets_.push_back(static_cast<std::uint32_t>(sets_.size() - 1));
  }
  const std::uint32_t number = free_sets_.back();
  free_sets_.pop_back();
  return number;
}

double FlatNetwork::time_alone(const Set& set, std::size_t transfer, double bytes) const {
  const Set::Transfer* t = set.transfers().data() + transfer;
  const std::size_t first = transfer == 0 ? 0 : t[-1].links_end;
  if (first == t->links_end) return 0;  // no link on the way: at once, whatever one flow may get
  double narrowest = t->most;
  for (std::size_t i = first; i < t->links_end; ++i)
    narrowest = std::min(narrowest, rates_.capacity(set.links()[i]));
  return t->share * bytes / narrowest;
}

void FlatNetwork::end_set(std::uint32_t number) {
  SetRun& run = sets_[number];
  for (const LinkId link : run.set->links()) lone_[link] = kNone;
  ++run.generation;
  free_sets_.push_back(number);
  const Arrival arrival = run.arrival;
  arrival.fire(arrival.self, arrival.argument);
}

// Somebody else wants one of its links: its transfers go on each by itself.
void FlatNetwork::take_apart(std::uint32_t number) {
  const SetRun run = sets_[number];
  ++sets_[number].generation;
  free_sets_.push_back(number);
  for (const LinkId link : run.set->links()) lone_[link] = kNone;
  const double gone = clock_.now() - run.started;
  const std::vector<Set::Transfer>& transfers = run.set->transfers();
  Together* waits =
      together(transfers.size(), run.arrival.fire, run.arrival.self, run.arrival.argument);
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const Set::Transfer& t = transfers[i];
    const double whole = time_alone(*run.set, i, run.bytes);
    if (whole <= gone * (1 + kSameDate)) {
      clock_.at(clock_.now(), one_arrived, waits);
      continue;
    }
    const FlowId id = new_flow(routes_.of(t.from, t.to), t.share * run.bytes, run.started,
                               {one_arrived, waits, 0});
    flows_[id].rate = flows_[id].bytes / whole;
    start_alone(id);
  }
}

// A set's link becomes one of its transfers' alone.
void FlatNetwork::leave_alone(LinkId link) {
  if (lone_[link] != kNone && (lone_[link] & kSet) != 0) take_apart(lone_[link] & ~kSet);
}

// ---- flows

void FlatNetwork::set_timer(FlowId id) {
  Flow& flow = flows_[id];
  double narrowest = kInfinity;
  for (const LinkId link : routes_.links(flow.route))
    narrowest = std::min(narrowest, rates_.capacity(link));
  progress(flow);
  flow.rate = std::min(narrowest / flow.weight, routes_.most(flow.route));
  clock_.after(
      flow.left / flow.rate,
      [](void* self, std::uint64_t timer) {
        auto* network = static_cast<FlatNetwork*>(self);
        const auto due = static_cast<FlowId>(timer);
        if (network->flows_[due].generation == timer >> 32) network->end_alone(due);
      },
      this, ticket(id, ++flow.generation));
}

void FlatNetwork::progress(Flow& flow) const {
  flow.left = std::max(0.0, flow.left - flow.rate * (clock_.now() - flow.since));
  flow.since = clock_.now();
}

// No longer, or not, a timer: it will be solved at this date.
void FlatNetwork::list(FlowId id) {
  Flow& flow = flows_[id];
  progress(flow);
  flow.rate = 0;
  ++flow.generation;
  flow.listed = true;
  for (const LinkId link : routes_.links(flow.route)) lone_[link] = kNone;
  rates_.add(id, flow.route, flow.weight);
  solve_soon();
}

void FlatNetwork::set_bandwidth(LinkId link, double bytes_per_second) {
  leave_alone(link);
  rates_.set_capacity(link, bytes_per_second);
  if (lone_[link] != kNone) set_timer(lone_[link]);
  solve_soon();
}

void FlatNetwork::remove(FlowId id) {
  Flow& flow = flows_[id];
  ++flow.generation;
  flow.under_way = false;
  if (flow.listed) {
    rates_.remove(id);
    ends_.remove(id);
    solve_soon();
  } else {
    for (const LinkId link : routes_.links(flow.route)) lone_[link] = kNone;
  }
  flow.listed = false;
  free_flows_.push_back(id);
}

void FlatNetwork::end_alone(FlowId id) {
  Flow& flow = flows_[id];
  if (flow.weight > 1) {
    take_arrivals(flow);
    remove(id);
    fire_arrivals();
    return;
  }
  const Arrival arrival = flow.arrival;
  remove(id);
  arrival.fire(arrival.self, arrival.argument);
}

void FlatNetwork::take_arrivals(Flow& flow) {
  arrivals_.push_back(flow.arrival);
  arrivals_.insert(arrivals_.end(), flow.more_arrivals.begin(), flow.more_arrivals.end());
  flow.more_arrivals.clear();
}

void FlatNetwork::fire_arrivals() {
  for (std::size_t i = 0; i < arrivals_.size() && !clock_.stopped(); ++i) {
    const Arrival arrival = arrivals_[i];
    arrival.fire(arrival.self, arrival.argument);
    clock_.drain_ready();
  }
  arrivals_.clear();
}

// The listed flows that end now.
void FlatNetwork::end_due() {
  const double until = clock_.now() * (1 + kSameDate);
  if (awaited_ <= until) awaited_ = kInfinity;
  ending_.clear();
  while (!ends_.empty() && ends_.first().date <= until) {
    ending_.push_back(ends_.first().flow);
    ends_.remove(ends_.first().flow);
  }
  std::sort(ending_.begin(), ending_.end(),
            [this](FlowId a, FlowId b) { return flows_[a].number < flows_[b].number; });
  for (const FlowId flow : ending_) {
    take_arrivals(flows_[flow]);
    remove(flow);
  }
  await_first();
  fire_arrivals();
}

// ---- rates of the flows that share links

void FlatNetwork::solve_soon() {
  if (solve_due_ || !rates_.open()) return;
  solve_due_ = true;
  clock_.at(
      clock_.now(), [](void* self, std::uint64_t) { static_cast<FlatNetwork*>(self)->solve(); },
      this);
}

void FlatNetwork::solve() {
  solve_due_ = false;
  for (const FlowId id : rates_.solve()) {
    Flow& flow = flows_[id];
    if (!flow.listed || rates_.rate(id) == flow.rate) continue;
    progress(flow);
    flow.rate = rates_.rate(id);
    ends_.set(id, flow.since + flow.left / flow.rate);
  }
  await_first();
}

void FlatNetwork::await_first() {
  if (solve_due_ || ends_.empty() || ends_.first().date >= awaited_) return;
  awaited_ = ends_.first().date;
  clock_.at(
      awaited_, [](void* self, std::uint64_t) { static_cast<FlatNetwork*>(self)->end_due(); },
      this);
}

}  // namespace paceline
