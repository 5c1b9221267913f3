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
    : routes_(routes), links_(cluster.links().size()) {
  for (LinkId link = 0; link < links_.size(); ++link)
    links_[link].capacity = links_[link].left = cluster.links()[link].bandwidth;
}

// ---- who is where among the members of a link

void MaxMinRates::swap(Link& link, std::uint32_t a, std::uint32_t b) {
  if (a == b) return;
  std::swap(link.members[a], link.members[b]);
  place(link.members[a].flow, link.members[a].hop) = a;
  place(link.members[b].flow, link.members[b].hop) = b;
}

void MaxMinRates::make_places(FlowId id, std::size_t hops) {
  if (hops > stride_) {
    std::vector<std::uint32_t> places(flows_.size() * hops);
    for (std::size_t i = 0; i < places_.size(); ++i)
      places[i / stride_ * hops + i % stride_] = places_[i];
    places_ = std::move(places);
    stride_ = hops;
  }
  if ((id + 1) * stride_ > places_.size()) places_.resize((id + 1) * stride_);
}

// ---- changes

void MaxMinRates::list(FlowId id) {
  if (flows_[id].opened) return;
  flows_[id].opened = true;
  opened_.push_back(id);
}

void MaxMinRates::add(FlowId id, RouteTable::Id route, std::uint32_t weight) {
  if (id >= flows_.size()) flows_.resize(id + 1);
  Flow& flow = flows_[id];
  flow.rate = 0;
  flow.most = routes_.most(route);
  flow.route = route;
  flow.weight = weight;
  flow.open = true;
  ++open_;
  list(id);
  const std::span<const LinkId> links = routes_.links(route);
  make_places(id, links.size());
  for (std::uint32_t hop = 0; hop < links.size(); ++hop) {
    Link& link = links_[links[hop]];
    place(id, hop) = static_cast<std::uint32_t>(link.members.size());
    link.members.push_back({id, hop});
    swap(link, place(id, hop), link.open_end++);
    link.open_weight += weight;
  }
}

void MaxMinRates::remove(FlowId id) {
  Flow& flow = flows_[id];
  const std::span<const LinkId> links = route(flow);
  for (std::uint32_t hop = 0; hop < links.size(); ++hop) {
    Link& link = links_[links[hop]];
    if (flow.open) {
      link.open_weight -= flow.weight;
    } else {
      link.left += flow.weight * flow.rate;
      ++link.changes;
    }
    // Out through the open flows and those that pass.
    if (place(id, hop) < link.bound_end) swap(link, place(id, hop), --link.bound_end);
    if (place(id, hop) < link.open_end) swap(link, place(id, hop), --link.open_end);
    swap(link, place(id, hop), static_cast<std::uint32_t>(link.members.size() - 1));
    link.members.pop_back();
    if (link.members.empty()) {
      link.left = link.capacity;
      link.passing_most = 0;
      link.changes = 0;
    }
  }
  if (flow.open) --open_;
  flow.open = false;
  if (flow.rate > 0)
    for (const LinkId link : links) release(links_[link]);
}

void MaxMinRates::set_capacity(LinkId id, double bytes_per_second) {
  Link& link = links_[id];
  release(link);
  while (link.open_end < link.members.size()) open(link.members.back().flow);
  link.left = link.capacity = bytes_per_second;
  link.changes = 0;
}

void MaxMinRates::open(FlowId id) {
  Flow& flow = flows_[id];
  flow.open = true;
  ++open_;
  list(id);
  const std::span<const LinkId> links = route(flow);
  for (std::size_t hop = 0; hop < links.size(); ++hop) {
    Link& link = links_[links[hop]];
    link.left += flow.weight * flow.rate;
    link.open_weight += flow.weight;
    ++link.changes;
    if (place(id, hop) < link.bound_end)
      swap(link, place(id, hop), --link.bound_end);
    else
      swap(link, place(id, hop), link.open_end++);
    if (filling_) touch(links[hop]);
  }
  if (filling_ && flow.most < kInfinity) queue_limit(id);
}

// The flows that it holds back may become faster.
void MaxMinRates::release(Link& link) {
  while (link.bound_end > 0) open(link.members[link.bound_end - 1].flow);
}

// ---- filling

void MaxMinRates::renew_levels() {
  for (const LinkId id : touched_) {
    Link& link = links_[id];
    link.touched = false;
    if (link.changes > link.members.size() + 16) {
      link.left = link.capacity;
      for (const Crossing& crossing : link.members) {
        const Flow& flow = flows_[crossing.flow];
        if (!flow.open) link.left -= flow.weight * flow.rate;
      }
      link.changes = 0;
    }
    if (link.open_weight > 0) {
      if (link.place == kNone) {
        link.place = static_cast<std::uint32_t>(active_.size());
        active_.push_back(id);
        levels_.push_back(0);
      }
      levels_[link.place] = link.level();
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
  limits_.emplace_back(flows_[id].most, id);
  std::push_heap(limits_.begin(), limits_.end(), std::greater<>());
}

const std::vector<MaxMinRates::FlowId>& MaxMinRates::solve() {
  filling_ = true;
  level_ = 0;
  for (const FlowId flow : opened_)
    if (flows_[flow].open) {
      for (const LinkId link : route(flows_[flow])) touch(link);
      if (flows_[flow].most < kInfinity) queue_limit(flow);
    }
  renew_levels();
  for (; open_ > 0; renew_levels()) {
    const double full = lowest(levels_);
    const auto first = std::find(levels_.begin(), levels_.end(), full) - levels_.begin();
    const LinkId id = active_[static_cast<std::size_t>(first)];
    Link& link = links_[id];
    const double level = full > level_ * (1 + kRounding) ? full : level_;
    if (!limits_.empty() && limits_.front().first <= level) {
      const auto [most, flow] = limits_.front();
      std::pop_heap(limits_.begin(), limits_.end(), std::greater<>());
      limits_.pop_back();
      if (!flows_[flow].open) continue;
      level_ = std::max(level_, most);
      fix(flow, most, kNone);
      continue;
    }
    level_ = level;
    if (open_faster(link)) continue;
    while (link.open_end > link.bound_end) fix(link.members[link.open_end - 1].flow, level_, id);
  }
  filling_ = false;
  limits_.clear();
  for (const FlowId flow : opened_) flows_[flow].opened = false;
  changed_.swap(opened_);
  opened_.clear();
  return changed_;
}

// The link is full: are there flows on it that are faster than the open ones?
bool MaxMinRates::open_faster(Link& link) {
  if (link.bound_end > 0 && link.bound_rate > level_ * (1 + kRounding)) {
    release(link);
    return true;
  }
  if (link.passing_most <= level_ * (1 + kRounding)) return false;
  // The rate at which it is full once all that are faster than that are open, from below.
  double rate = level_;
  for (;;) {
    double left = link.left;
    std::uint64_t weight = link.open_weight;
    for (std::size_t i = link.open_end; i < link.members.size(); ++i) {
      const Flow& flow = flows_[link.members[i].flow];
      if (flow.rate <= rate * (1 + kRounding)) continue;
      left += flow.weight * flow.rate;
      weight += flow.weight;
    }
    const double full = left / static_cast<double>(weight);
    if (full <= rate * (1 + kRounding)) break;
    rate = full;
  }
  const std::size_t open_before = open_;
  link.passing_most = 0;
  // A flow that crosses the link twice leaves two places, of which the second may come next.
  for (std::uint32_t i = link.open_end; i < link.members.size();
       i = std::max(i + 1, link.open_end)) {
    const Flow& flow = flows_[link.members[i].flow];
    if (flow.rate > rate * (1 + kRounding))
      open(link.members[i].flow);
    else
      link.passing_most = std::max(link.passing_most, flow.rate);
  }
  return open_ > open_before;
}

void MaxMinRates::fix(FlowId id, double rate, LinkId bottleneck) {
  Flow& flow = flows_[id];
  const double before = flow.rate;
  if (std::abs(rate - before) <= kRounding * before) rate = before;
  flow.rate = rate;
  flow.open = false;
  --open_;
  const std::span<const LinkId> links = route(flow);
  for (std::size_t hop = 0; hop < links.size(); ++hop) {
    Link& link = links_[links[hop]];
    link.left -= flow.weight * rate;
    link.open_weight -= flow.weight;
    ++link.changes;
    touch(links[hop]);
    if (links[hop] == bottleneck) {
      swap(link, place(id, hop), link.bound_end++);
      link.bound_rate = rate;
    } else {
      swap(link, place(id, hop), --link.open_end);
      link.passing_most = std::max(link.passing_most, rate);
    }
  }
  if (rate >= before) return;
  for (const LinkId link : links)
    if (link != bottleneck && links_[link].bound_end > 0) release(links_[link]);
}

}  // namespace paceline
