#include "sim/network/flat/network.hpp"

#include <algorithm>
#include <limits>

namespace paceline {
namespace {

// As SimGrid counts, in 1024ths of a byte: less than half of one is nothing.
constexpr double kLeastBytes = 0.5 / 1024;

// Dates that differ only by rounding are one.
constexpr double kRounding = 1e-12;

}  // namespace

FlatNetwork::FlatNetwork(const Cluster& cluster, Clock& clock)
    : clock_(clock), routes_(cluster), links_(cluster.links().size()) {
  for (LinkId link = 0; link < links_.size(); ++link)
    links_[link].capacity = cluster.links()[link].bandwidth;
}

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
  if (flow.listed)
    for (const LinkId link : routes_.links(route)) mark(link);
  else
    set_timer(id);
  return true;
}

// As a timer if its links are idle.
void FlatNetwork::start_alone(FlowId id) {
  const RouteTable::Id route = flows_[id].route;
  std::size_t taken = 0;  // a link that stands twice on the route is not idle the second time
  const std::size_t hops = routes_.links(route).size();
  while (taken < hops && links_[routes_.links(route)[taken]].idle())
    links_[routes_.links(route)[taken++]].lone = id;
  if (taken == hops) return set_timer(id);
  for (std::size_t i = 0; i < taken; ++i) links_[routes_.links(route)[i]].lone = kNone;
  for (std::size_t i = 0; i < hops; ++i) {
    const LinkId link = routes_.links(route)[i];
    leave_alone(link);
    if (links_[link].lone != kNone) list(links_[link].lone);
  }
  list(id);
}

// ---- sets

void FlatNetwork::transfer_all(const Set& set, double bytes, Clock::Fire fire, void* self,
                               std::uint64_t argument) {
  const std::uint32_t number = new_set();
  const std::vector<LinkId>& links = set.links();
  std::size_t taken = 0;
  while (taken < links.size() && links_[links[taken]].idle())
    links_[links[taken++]].lone = kSet | number;
  if (taken < links.size()) {  // a link is shared, be it by two transfers of the set
    for (std::size_t i = 0; i < taken; ++i) links_[links[i]].lone = kNone;
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
  double narrowest = t->most;
  for (std::size_t i = transfer == 0 ? 0 : t[-1].links_end; i < t->links_end; ++i)
    narrowest = std::min(narrowest, links_[set.links()[i]].capacity);
  return t->share * bytes / narrowest;
}

void FlatNetwork::end_set(std::uint32_t number) {
  SetRun& run = sets_[number];
  for (const LinkId link : run.set->links()) links_[link].lone = kNone;
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
  for (const LinkId link : run.set->links()) links_[link].lone = kNone;
  const double gone = clock_.now() - run.started;
  const std::vector<Set::Transfer>& transfers = run.set->transfers();
  Together* waits =
      together(transfers.size(), run.arrival.fire, run.arrival.self, run.arrival.argument);
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const Set::Transfer& t = transfers[i];
    const double whole = time_alone(*run.set, i, run.bytes);
    if (whole <= gone * (1 + kRounding)) {
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
  if (links_[link].lone != kNone && (links_[link].lone & kSet) != 0)
    take_apart(links_[link].lone & ~kSet);
}

// ---- flows

void FlatNetwork::set_timer(FlowId id) {
  Flow& flow = flows_[id];
  double narrowest = std::numeric_limits<double>::infinity();
  for (const LinkId link : routes_.links(flow.route))
    narrowest = std::min(narrowest, links_[link].capacity);
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
  const std::span<const LinkId> links = routes_.links(flow.route);
  flow.places.resize(links.size());
  for (std::uint32_t hop = 0; hop < links.size(); ++hop) {
    LinkState& link = links_[links[hop]];
    link.lone = kNone;
    flow.places[hop] = static_cast<std::uint32_t>(link.flows.size());
    link.flows.push_back({id, hop});
    mark(links[hop]);
  }
}

void FlatNetwork::mark(LinkId link) {
  if (!links_[link].dirty) {
    links_[link].dirty = true;
    dirty_.push_back(link);
  }
  if (solve_due_) return;
  solve_due_ = true;
  clock_.at(
      clock_.now(), [](void* self, std::uint64_t) { static_cast<FlatNetwork*>(self)->solve(); },
      this);
}

void FlatNetwork::set_bandwidth(LinkId link, double bytes_per_second) {
  leave_alone(link);
  LinkState& state = links_[link];
  state.capacity = bytes_per_second;
  if (state.lone != kNone) set_timer(state.lone);
  if (!state.flows.empty()) mark(link);
}

void FlatNetwork::remove(FlowId id) {
  Flow& flow = flows_[id];
  ++flow.generation;
  flow.under_way = false;
  flow.component = kNone;
  const std::span<const LinkId> links = routes_.links(flow.route);
  for (std::size_t hop = 0; hop < links.size(); ++hop) {
    LinkState& link = links_[links[hop]];
    link.lone = kNone;
    if (!flow.listed) continue;
    const Crossing last = link.flows.back();
    link.flows[flow.places[hop]] = last;
    flows_[last.flow].places[last.hop] = flow.places[hop];
    link.flows.pop_back();
    if (!link.flows.empty()) mark(links[hop]);
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

// The flows of the component that end now; the others are solved again, at this date.
void FlatNetwork::end_component(ComponentId id) {
  const double until = clock_.now() * (1 + kRounding);
  ending_.clear();
  for (const FlowId flow : components_[id].flows) {
    flows_[flow].component = kNone;
    if (flows_[flow].date <= until) ending_.push_back(flow);
  }
  dissolve(id);
  std::sort(ending_.begin(), ending_.end(),
            [this](FlowId a, FlowId b) { return flows_[a].number < flows_[b].number; });
  for (const FlowId flow : ending_) {
    take_arrivals(flows_[flow]);
    remove(flow);
  }
  fire_arrivals();
}

// ---- shares

void FlatNetwork::solve() {
  solve_due_ = false;
  ++epoch_;
  for (const LinkId first : dirty_) {
    links_[first].dirty = false;
    if (links_[first].seen == epoch_ || links_[first].flows.empty()) continue;
    const ComponentId id = new_component();
    gather(first, id);
    share(components_[id]);
    set_rates(id);
  }
  dirty_.clear();
}

FlatNetwork::ComponentId FlatNetwork::new_component() {
  if (free_components_.empty()) {
    components_.emplace_back();
    free_components_.push_back(static_cast<ComponentId>(components_.size() - 1));
  }
  const ComponentId id = free_components_.back();
  free_components_.pop_back();
  components_[id].alive = true;
  return id;
}

void FlatNetwork::dissolve(ComponentId id) {
  components_[id].alive = false;
  components_[id].flows.clear();
  ++components_[id].generation;
  free_components_.push_back(id);
}

// All flows connected to this link, and in span_ the links.
void FlatNetwork::gather(LinkId first, ComponentId into) {
  span_.assign(1, first);
  links_[first].seen = epoch_;
  std::vector<FlowId>& found = components_[into].flows;
  for (std::size_t i = 0; i < span_.size(); ++i) {
    LinkState& link = links_[span_[i]];
    link.left = link.capacity;
    link.open = 0;
    for (const Crossing& crossing : link.flows) {
      Flow& flow = flows_[crossing.flow];
      link.open += flow.weight;
      if (flow.component == into) continue;
      if (flow.component != kNone && components_[flow.component].alive) dissolve(flow.component);
      flow.component = into;
      flow.next_rate = -1;
      found.push_back(crossing.flow);
      for (const LinkId other : routes_.links(flow.route))
        if (links_[other].seen != epoch_) {
          links_[other].seen = epoch_;
          span_.push_back(other);
        }
    }
  }
}

// Progressive filling (Bertsekas and Gallager, Data Networks, 6.5.2): the rates of all flows rise
// together; a link that is full fixes those of the flows on it, and a flow that has reached its own
// most is fixed at that.
void FlatNetwork::share(const Component& component) {
  std::size_t open = component.flows.size();
  active_ = span_;
  limited_.clear();
  for (const FlowId flow : component.flows)
    if (routes_.most(flows_[flow].route) < kInfinity) limited_.push_back(flow);
  std::sort(limited_.begin(), limited_.end(), [this](FlowId a, FlowId b) {
    return routes_.most(flows_[a].route) < routes_.most(flows_[b].route);
  });
  std::size_t limited = 0;
  while (open > 0) {
    double level = std::numeric_limits<double>::infinity();
    std::erase_if(active_, [this, &level](LinkId l) {
      LinkState& link = links_[l];
      if (link.open == 0) return true;
      link.level = link.left / link.open;
      level = std::min(level, link.level);
      return false;
    });
    while (limited < limited_.size() && flows_[limited_[limited]].next_rate >= 0) ++limited;
    if (limited < limited_.size() && routes_.most(flows_[limited_[limited]].route) <= level) {
      const double most = routes_.most(flows_[limited_[limited]].route);
      for (; limited < limited_.size(); ++limited) {
        Flow& flow = flows_[limited_[limited]];
        if (routes_.most(flow.route) > most) break;
        if (flow.next_rate >= 0) continue;
        fix(flow, most);
        --open;
      }
      continue;
    }
    // All that are full at this level (up to rounding) together: equal links give equal rates.
    full_.clear();
    for (const LinkId l : active_)
      if (links_[l].level <= level * (1 + kRounding)) full_.push_back(l);
    for (const LinkId l : full_) {
      if (links_[l].open == 0) continue;
      for (const Crossing& crossing : links_[l].flows) {
        Flow& flow = flows_[crossing.flow];
        if (flow.next_rate >= 0) continue;
        fix(flow, level);
        --open;
      }
    }
  }
}

void FlatNetwork::fix(Flow& flow, double rate) {
  flow.next_rate = rate;
  for (const LinkId link : routes_.links(flow.route)) {
    links_[link].left = std::max(0.0, links_[link].left - rate * flow.weight);
    links_[link].open -= flow.weight;
  }
}

// From now on; and the date of the first to end.
void FlatNetwork::set_rates(ComponentId id) {
  Component& component = components_[id];
  double first = std::numeric_limits<double>::infinity();
  for (const FlowId f : component.flows) {
    Flow& flow = flows_[f];
    if (flow.next_rate != flow.rate) {
      progress(flow);
      flow.rate = flow.next_rate;
      flow.date = flow.since + flow.left / flow.rate;
    }
    first = std::min(first, flow.date);
  }
  clock_.at(
      first,
      [](void* self, std::uint64_t timer) {
        auto* network = static_cast<FlatNetwork*>(self);
        const auto due = static_cast<ComponentId>(timer);
        if (network->components_[due].generation == timer >> 32) network->end_component(due);
      },
      this, ticket(id, component.generation));
}

}  // namespace paceline
