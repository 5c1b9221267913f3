#include "sim/network/flat/max_min.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace paceline {
namespace {

// Rates that differ only by rounding are one: equal links fill together, and a flow whose rate comes
// out as before ends when it would have.
constexpr double kRounding = 1e-12;

// Four chains, as one would wait for each comparison.
double lowest(const std::vector<double>& values) {
  double least[4] = {kInfinity, kInfinity, kInfinity, kInfinity};
  std::size_t i = 0;
  for (; i + 4 <= values.size(); i += 4)
    for (std::size_t k = 0; k < 4; ++k) least[k] = std::min(least[k], values[i + k]);
  for (; i < values.size(); ++i) least[0] = std::min(least[0], values[i]);
  return std::min(std::min(least[0], least[1]), std::min(least[2], least[3]));
}

}  // namespace

MaxMinRates::MaxMinRates(const Cluster& cluster, const RouteTable& routes)
    : routes_(routes),
      links_(cluster.links().size() + 1),
      members_(cluster.links().size()),
      groups_(cluster.links().size() + 1) {
  for (LinkId link = 0; link < members_.size(); ++link)
    links_[link].capacity = links_[link].left = cluster.links()[link].bandwidth;
  links_.back().touched = true;  // it has no level
}

// ---- who is where

void MaxMinRates::make_room(FlowId id, std::size_t hops) {
  if (id >= flows_.size()) flows_.resize(id + 1);
  if (hops > others_ + 1) {
    std::vector<std::uint32_t> places(flows_.size() * hops);
    for (std::size_t i = 0; i < places_.size(); ++i)
      places[i / (others_ + 1) * hops + i % (others_ + 1)] = places_[i];
    places_ = std::move(places);
    others_ = hops - 1;
    for (LinkId link = 0; link < members_.size(); ++link) {
      groups_[link].effects.clear();
      for (const FlowId flow : groups_[link].flows) put_effects(flow, link);
    }
  }
  places_.resize(flows_.size() * (others_ + 1));
}

// As many for each flow, so that one can take another's place.
void MaxMinRates::put_effects(FlowId id, LinkId group) {
  const Flow& flow = flows_[id];
  std::vector<Effect>& effects = groups_[group].effects;
  const std::size_t end = effects.size() + others_;
  bool found = false;
  for (const LinkId link : route(flow)) {
    if (link == group && !found)
      found = true;
    else
      effects.push_back({link, flow.weight});
  }
  effects.resize(end, {static_cast<LinkId>(members_.size()), 0});
}

void MaxMinRates::join(FlowId id, LinkId link) {
  Flow& flow = flows_[id];
  Group& group = groups_[link];
  flow.group = link;
  flow.slot = static_cast<std::uint32_t>(group.flows.size());
  group.flows.push_back(id);
  group.weight += flow.weight;
  put_effects(id, link);
}

void MaxMinRates::leave_group(FlowId id) {
  Flow& flow = flows_[id];
  flow.rate = rate(id);
  if (flow.group < groups_.size()) {
    Group& group = groups_[flow.group];
    const FlowId last = group.flows.back();
    group.flows[flow.slot] = last;
    flows_[last].slot = flow.slot;
    group.flows.pop_back();
    const std::size_t end = group.flows.size() * others_;
    for (std::size_t i = 0; i < others_; ++i)
      group.effects[flow.slot * others_ + i] = group.effects[end + i];
    group.effects.resize(group.effects.size() - others_);
    group.weight -= flow.weight;
    if (group.flows.empty()) group.open = false;
  }
  flow.group = kLoose;
}

// ---- changes

void MaxMinRates::add(FlowId id, RouteTable::Id route, std::uint32_t weight) {
  const std::span<const LinkId> links = routes_.links(route);
  make_room(id, links.size());
  flows_[id] = {.most = routes_.most(route), .weight = static_cast<double>(weight), .route = route};
  ++open_;
  limited_ = limited_ || flows_[id].most < kInfinity;
  queue_limit(id);
  for (std::uint32_t hop = 0; hop < links.size(); ++hop) {
    place(id, hop) = static_cast<std::uint32_t>(members_[links[hop]].size());
    members_[links[hop]].push_back({id, hop});
    links_[links[hop]].open_weight += weight;
    touch(links[hop]);
  }
}

void MaxMinRates::remove(FlowId id) {
  Flow& flow = flows_[id];
  if (!is_open(flow)) open(id);  // alone
  leave_group(id);
  --open_;
  flow.most = kInfinity;  // as for an entry in limits_
  const std::span<const LinkId> links = route(flow);
  for (std::uint32_t hop = 0; hop < links.size(); ++hop) {
    Link& link = links_[links[hop]];
    std::vector<Crossing>& members = members_[links[hop]];
    link.open_weight -= flow.weight;
    touch(links[hop]);
    members[place(id, hop)] = members.back();
    place(members.back().flow, members.back().hop) = place(id, hop);
    members.pop_back();
    if (!members.empty()) continue;
    link.left = link.capacity;
    link.passing_most = 0;
    link.changes = 0;
  }
  if (flow.rate > 0)
    for (const LinkId link : links) release(link);
}

void MaxMinRates::set_capacity(LinkId id, double bytes_per_second) {
  for (const Crossing& crossing : members_[id]) {
    const Flow& flow = flows_[crossing.flow];
    if (is_open(flow)) continue;
    if (flow.group == kAtMost)
      open(crossing.flow);
    else
      open_group(flow.group);
  }
  links_[id].left = links_[id].capacity = bytes_per_second;
  links_[id].changes = 0;
  touch(id);
}

// A flow by itself, out of the group of those that stay as they are.
void MaxMinRates::open(FlowId id) {
  leave_group(id);
  Flow& flow = flows_[id];
  ++open_;
  queue_limit(id);
  for (const LinkId link : route(flow)) {
    links_[link].left += flow.weight * flow.rate;
    links_[link].open_weight += flow.weight;
    ++links_[link].changes;
    touch(link);
  }
}

// What a link holds back may become faster.
void MaxMinRates::open_group(LinkId id) {
  Group& group = groups_[id];
  group.open = true;
  open_ += group.flows.size();
  if (!group.opened) opened_.push_back(id);
  group.opened = true;
  for (const Effect& effect : group.effects) {
    Link& link = links_[effect.link];
    link.left += effect.weight * group.rate;
    link.open_weight += effect.weight;
    ++link.changes;
    touch(effect.link);
  }
  links_[id].left += group.weight * group.rate;
  links_[id].open_weight += group.weight;
  ++links_[id].changes;
  touch(id);
  if (limited_)
    for (const FlowId flow : group.flows) queue_limit(flow);
}

// ---- filling

void MaxMinRates::renew_levels() {
  for (const LinkId id : touched_) {
    Link& link = links_[id];
    link.touched = false;
    if (link.changes > 4 * members_[id].size() + 64) {
      link.left = link.capacity;
      for (const Crossing& crossing : members_[id])
        if (!is_open(flows_[crossing.flow]))
          link.left -= flows_[crossing.flow].weight * rate(crossing.flow);
      link.changes = 0;
    }
    if (link.open_weight > 0) {
      if (link.place == kNone) {
        link.place = static_cast<std::uint32_t>(active_.size());
        active_.push_back(id);
        levels_.push_back(0);
      }
      levels_[link.place] = link.left / link.open_weight;
    } else if (link.place != kNone) {
      levels_[link.place] = levels_.back();
      active_[link.place] = active_.back();
      links_[active_.back()].place = link.place;
      levels_.pop_back();
      active_.pop_back();
      link.place = kNone;
    }
  }
  touched_.clear();
}

void MaxMinRates::queue_limit(FlowId id) {
  if (flows_[id].most == kInfinity) return;
  limits_.emplace_back(flows_[id].most, id);
  std::push_heap(limits_.begin(), limits_.end(), std::greater<>());
}

const std::vector<MaxMinRates::FlowId>& MaxMinRates::solve() {
  level_ = 0;
  for (renew_levels(); open_ > 0; renew_levels()) {
    const double full = lowest(levels_);
    const double level = full > level_ * (1 + kRounding) ? full : level_;
    if (!limits_.empty() && limits_.front().first <= level) {
      const auto [most, flow] = limits_.front();
      std::pop_heap(limits_.begin(), limits_.end(), std::greater<>());
      limits_.pop_back();
      if (is_open(flows_[flow]) && flows_[flow].most == most) fix_at_most(flow);
      continue;
    }
    level_ = level;
    const auto first = std::find(levels_.begin(), levels_.end(), full) - levels_.begin();
    const LinkId id = active_[static_cast<std::size_t>(first)];
    if (!groups_[id].open && !groups_[id].flows.empty())
      open_group(id);
    else if (!open_faster(id))
      fix_group(id);
  }
  limits_.clear();
  report();
  return changed_;
}

// The link is full: are there flows passing it that are faster than the open ones?
bool MaxMinRates::open_faster(LinkId id) {
  Link& link = links_[id];
  if (link.passing_most <= level_ * (1 + kRounding)) return false;
  // The rate at which it is full once all that are faster than that are open, from below.
  double most = level_;
  for (;;) {
    double left = link.left, weight = link.open_weight;
    for (const Crossing& crossing : members_[id]) {
      const Flow& flow = flows_[crossing.flow];
      if (is_open(flow) || rate(crossing.flow) <= most * (1 + kRounding)) continue;
      left += flow.weight * rate(crossing.flow);
      weight += flow.weight;
    }
    const double full = left / weight;
    if (full <= most * (1 + kRounding)) break;
    most = full;
  }
  const std::size_t open_before = open_;
  link.passing_most = 0;
  for (const Crossing& crossing : members_[id]) {
    const Flow& flow = flows_[crossing.flow];
    if (is_open(flow)) continue;
    const double now = rate(crossing.flow);
    if (now <= most * (1 + kRounding))
      link.passing_most = std::max(link.passing_most, now);
    else if (flow.group == kAtMost)
      open(crossing.flow);
    else
      open_group(flow.group);
  }
  return open_ > open_before;
}

void MaxMinRates::fix_at_most(FlowId id) {
  leave_group(id);
  Flow& flow = flows_[id];
  const double before = flow.rate;
  level_ = std::max(level_, flow.most);
  flow.rate = flow.most;
  flow.group = kAtMost;
  --open_;
  moved_.push_back(id);
  for (const LinkId other : route(flow)) {
    Link& link = links_[other];
    link.left -= flow.weight * flow.rate;
    link.open_weight -= flow.weight;
    link.passing_most = std::max(link.passing_most, flow.rate);
    ++link.changes;
    touch(other);
  }
  if (flow.rate < before)
    for (const LinkId link : route(flow)) release(link);
}

// All open flows on the link into its group.
void MaxMinRates::gather_open(LinkId id) {
  Group& group = groups_[id];
  group.open = true;
  if (!group.opened) opened_.push_back(id);
  group.opened = true;
  if (links_[id].open_weight <= group.weight) return;
  for (const Crossing& crossing : members_[id]) {
    const Flow& flow = flows_[crossing.flow];
    if (flow.group == id || !is_open(flow)) continue;
    leave_group(crossing.flow);
    join(crossing.flow, id);
    moved_.push_back(crossing.flow);
  }
}

void MaxMinRates::fix_group(LinkId id) {
  Group& group = groups_[id];
  const std::size_t own = group.flows.size();
  const double before = own > 0 ? group.rate : 0;
  gather_open(id);
  group.rate = std::abs(level_ - before) <= kRounding * before ? before : level_;
  group.open = false;
  open_ -= group.flows.size();
  for (const Effect& effect : group.effects) {
    Link& link = links_[effect.link];
    link.left -= effect.weight * group.rate;
    link.open_weight -= effect.weight;
    link.passing_most = std::max(link.passing_most, group.rate);
    ++link.changes;
    touch(effect.link);
  }
  Link& link = links_[id];
  link.left -= group.weight * group.rate;
  link.open_weight -= group.weight;
  ++link.changes;
  touch(id);
  // Where a flow has become slower.
  for (std::size_t i = group.rate < before ? 0 : own; i < group.flows.size(); ++i) {
    if (group.rate >= (i < own ? before : flows_[group.flows[i]].rate)) continue;
    for (std::size_t k = i * others_; k < (i + 1) * others_; ++k)
      if (group.effects[k].link != id) release(group.effects[k].link);
  }
}

void MaxMinRates::report() {
  changed_.swap(moved_);
  moved_.clear();
  for (const LinkId id : opened_) {
    Group& group = groups_[id];
    group.opened = false;
    if (group.rate != group.solved_rate)
      changed_.insert(changed_.end(), group.flows.begin(), group.flows.end());
    group.solved_rate = group.rate;
  }
  opened_.clear();
}

}  // namespace paceline
