#include "sim/network/prepared_plan.hpp"

#include <algorithm>
#include <map>

namespace paceline {

PreparedPlan::PreparedPlan(Plan plan, const Cluster& cluster, const std::vector<Endpoint>& members)
    : plan_(std::move(plan)),
      members_(members),
      rank_rounds_(plan_.ranks),
      sent_share_(plan_.ranks, 0),
      message_count_(plan_.ranks, 0),
      link_share_(cluster.links().size(), 0) {
  for (const Link& link : cluster.links()) bandwidth_.push_back(link.bandwidth);
  std::vector<std::uint32_t> load(cluster.links().size(),
                                  0);  // messages of this round on each link
  Route route;
  for (std::uint32_t r = 0; r < plan_.rounds.size(); ++r) {
    const PlanRound& round = plan_.rounds[r];
    first_message_.push_back(static_cast<std::uint32_t>(messages_.size()));
    std::vector<std::pair<std::size_t, std::vector<LinkId>>> used;
    for (const PlanMessage& m : round.messages) {
      cluster.route(members_[m.from], members_[m.to], route);
      for (const LinkId link : route.links) {
        if (++load[link] > 1 && !round.shared_links && m.share > 0 && contended_link_ < 0)
          contended_link_ = link;
        link_share_[link] += m.share * static_cast<double>(round.repeat);
      }
      sent_share_[m.from] += m.share * static_cast<double>(round.repeat);
      message_count_[m.from] += static_cast<double>(round.repeat);
      used.emplace_back(messages_.size(), route.links);
      messages_.push_back({m.from, m.to, m.share, route.latency, 1 / route.most});
    }
    for (const auto& [index, links] : used)
      for (const LinkId link : links)
        messages_[index].seconds_per_byte =
            std::max(messages_[index].seconds_per_byte,
                     (round.shared_links ? load[link] : 1) / cluster.links()[link].bandwidth);
    for (const auto& [index, links] : used)
      for (const LinkId link : links) load[link] = 0;

    std::vector<std::int32_t> send(plan_.ranks, -1), receive(plan_.ranks, -1);
    for (std::uint32_t i = first_message_.back(); i < messages_.size(); ++i) {
      send[messages_[i].from] = static_cast<std::int32_t>(i);
      receive[messages_[i].to] = static_cast<std::int32_t>(i);
    }
    for (std::uint32_t rank = 0; rank < plan_.ranks; ++rank)
      if (send[rank] >= 0 || receive[rank] >= 0)
        rank_rounds_[rank].push_back({r, send[rank], receive[rank]});
  }
  first_message_.push_back(static_cast<std::uint32_t>(messages_.size()));
  for (LinkId link = 0; link < link_share_.size(); ++link)
    if (link_share_[link] > 0) links_.push_back(link);
  prepare_stages(cluster);
}

void PreparedPlan::prepare_stages(const Cluster& cluster) {
  Route route;
  for (std::uint32_t first = 0; first < plan_.rounds.size();) {
    std::uint32_t last = first + 1;
    while (last < plan_.rounds.size() && plan_.rounds[last].stage == plan_.rounds[first].stage)
      ++last;
    Stage stage{first, last, last - first > 1, {}, -1, {}, 0};
    // (alpha, from, to) -> share. In a stage of one repeated round every hop pays its own
    // latencies; a pipeline pays its fill time as one delay, the same for all hops.
    std::map<std::tuple<double, std::uint32_t, std::uint32_t>, double> hops;
    for (std::uint32_t r = first; r < last; ++r) {
      const auto repeat = static_cast<double>(plan_.rounds[r].repeat);
      for (std::uint32_t i = first_message_[r]; i < first_message_[r + 1]; ++i) {
        const Message& m = messages_[i];
        hops[{stage.pipelined ? 0 : repeat * m.alpha, m.from, m.to}] += repeat * m.share;
      }
    }
    std::map<LinkId, double> load;  // share of the bytes
    for (const auto& [key, share] : hops) {
      const auto& [alpha, from, to] = key;
      if (stage.groups.empty() || stage.groups.back().alpha != alpha)
        stage.groups.push_back({alpha, {}});
      cluster.route(members_[from], members_[to], route);
      stage.groups.back().hops.add(members_[from], members_[to], share, route);
      if (contended_link_ >= 0)
        for (const LinkId link : route.links) {
          load[link] += share;
          stage.busiest_s_per_byte =
              std::max(stage.busiest_s_per_byte, load[link] / bandwidth_[link]);
        }
      if (!stage.pipelined) continue;
      stage.flows.push_back({share, route.links});
      if (route.most < kInfinity) {  // as if over a link of its own
        stage.flows.back().links.push_back(static_cast<std::uint32_t>(bandwidth_.size()));
        bandwidth_.push_back(route.most);
      }
    }
    stages_.push_back(std::move(stage));
    first = last;
  }
  fill_cache_.resize(stages_.size());
}

double PreparedPlan::longest_chain_s(std::uint32_t first_round, std::uint32_t last_round,
                                     double bytes) {
  clock_.assign(plan_.ranks, 0);
  bool together = true;  // all ranks at the same date
  for (std::uint32_t r = first_round; r < last_round; ++r) {
    const std::int64_t repeat = plan_.rounds[r].repeat;
    const std::uint32_t begin = first_message_[r], end = first_message_[r + 1];
    double slowest = 0, quickest = begin < end ? 1e300 : 0;
    for (std::uint32_t i = begin; i < end; ++i) {
      const double t =
          messages_[i].alpha + bytes * messages_[i].share * messages_[i].seconds_per_byte;
      slowest = std::max(slowest, t);
      quickest = std::min(quickest, t);
    }
    const bool everyone = end - begin == plan_.ranks;
    if (everyone && together && (slowest == quickest || r + 1 == last_round)) {
      // A ring in step runs at the pace of its slowest hop: exact, without walking through its
      // rounds.
      const double t = clock_[0] + static_cast<double>(repeat) * slowest;
      std::fill(clock_.begin(), clock_.end(), t);
      continue;
    }
    for (std::int64_t k = 0; k < repeat; ++k) {
      next_clock_ = clock_;
      for (std::uint32_t i = begin; i < end; ++i) {
        const Message& m = messages_[i];
        const double done = std::max(clock_[m.from], clock_[m.to]) +
                            (m.alpha + bytes * m.share * m.seconds_per_byte);
        next_clock_[m.from] = std::max(next_clock_[m.from], done);
        next_clock_[m.to] = std::max(next_clock_[m.to], done);
      }
      clock_.swap(next_clock_);
    }
    together = std::equal(clock_.begin() + 1, clock_.end(), clock_.begin());
  }
  return clock_.empty() ? 0 : *std::max_element(clock_.begin(), clock_.end());
}

double PreparedPlan::closed_s(double bytes) {
  const auto [it, fresh] = closed_cache_.try_emplace(bytes, 0);
  if (fresh)
    it->second = longest_chain_s(0, static_cast<std::uint32_t>(plan_.rounds.size()), bytes);
  return it->second;
}

double PreparedPlan::alone_s(double bytes) {
  if (contended_link_ < 0) return closed_s(bytes);
  double seconds = 0;
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    const double chain = longest_chain_s(stage.first_round, stage.last_round, bytes);
    const double shared = bytes * stage.busiest_s_per_byte;
    seconds += stage.pipelined ? std::max(chain, shared)
                               : std::max(chain, stage.groups.back().alpha + shared);
  }
  return seconds;
}

double PreparedPlan::stage_fill_s(std::size_t stage, double bytes) {
  const auto [it, fresh] = fill_cache_[stage].try_emplace(bytes, 0);
  if (fresh) {
    Stage& s = stages_[stage];
    if (s.fluid_s_per_byte < 0) s.fluid_s_per_byte = max_min_time(s.flows, bandwidth_);
    it->second = std::max(
        0.0, longest_chain_s(s.first_round, s.last_round, bytes) - bytes * s.fluid_s_per_byte);
  }
  return it->second;
}

double PreparedPlan::alpha_share(double bytes) {
  const double total = closed_s(bytes);
  if (total <= 0) return 0;
  double latency = 0;
  for (std::size_t s = 0; s < stages_.size(); ++s)
    latency += stages_[s].pipelined ? stage_fill_s(s, bytes) : stages_[s].groups.back().alpha;
  return std::min(1.0, latency / total);
}

void PreparedPlan::add_link_bytes(std::vector<double>& link_bytes, double bytes) const {
  for (const LinkId link : links_) link_bytes[link] += link_share_[link] * bytes;
}

}  // namespace paceline
