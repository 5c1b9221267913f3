#include "sim/network/prepared_plan.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>

namespace paceline {
namespace {

constexpr double kLongWalk = 1e5;  // messages

}  // namespace

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
      messages_.push_back({m.from, m.to, m.share, route.latency, 1 / route.most, 1 / route.most});
    }
    for (const auto& [index, links] : used)
      for (const LinkId link : links) {
        Message& m = messages_[index];
        const double alone = 1 / cluster.links()[link].bandwidth,
                     loaded = load[link] / cluster.links()[link].bandwidth;
        m.seconds_per_byte = std::max(m.seconds_per_byte, round.shared_links ? loaded : alone);
        m.loaded_seconds_per_byte = std::max(m.loaded_seconds_per_byte, loaded);
      }
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
  walks_long_ = std::accumulate(message_count_.begin(), message_count_.end(), 0.0) > kLongWalk;
  prepare_stages(cluster);
}

void PreparedPlan::prepare_stages(const Cluster& cluster) {
  Route route;
  bool in_step = true;
  for (std::uint32_t first = 0; first < plan_.rounds.size();) {
    std::uint32_t last = first + 1;
    while (last < plan_.rounds.size() && plan_.rounds[last].stage == plan_.rounds[first].stage)
      ++last;
    const auto begin = messages_.begin() + first_message_[first],
               end = messages_.begin() + first_message_[last];
    const auto alike = [&](const Message& m) {
      return m.alpha == begin->alpha &&
             m.share * m.loaded_seconds_per_byte == begin->share * begin->loaded_seconds_per_byte;
    };
    // In step: every rank sends one of equal messages, and has begun together with the others.
    in_step = in_step && last - first == 1 && end - begin == plan_.ranks &&
              std::all_of(begin, end, alike);
    const bool filled = !in_step;
    Stage stage{first, last, filled, {}, -1, {}, 0};
    // (alpha, from, to) -> share
    std::map<std::tuple<double, std::uint32_t, std::uint32_t>, double> hops;
    for (std::uint32_t r = first; r < last; ++r) {
      const auto repeat = static_cast<double>(plan_.rounds[r].repeat);
      for (std::uint32_t i = first_message_[r]; i < first_message_[r + 1]; ++i) {
        const Message& m = messages_[i];
        hops[{filled ? 0 : repeat * m.alpha, m.from, m.to}] += repeat * m.share;
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
      if (!filled) continue;
      stage.flows.push_back({share, route.links});
      if (route.most < kInfinity) {  // as if over a link of its own
        stage.flows.back().links.push_back(static_cast<std::uint32_t>(bandwidth_.size()));
        bandwidth_.push_back(route.most);
      }
    }
    stages_.push_back(std::move(stage));
    first = last;
  }
}

PreparedPlan::Date PreparedPlan::arrival(const Message& m, double bytes, Pace pace) const {
  const double per_byte = m.share * m.*pace, wire = bytes * m.share * m.*pace;
  const auto after = [per_byte](const Date& date, double seconds) {
    return Date{date.s + seconds, date.per_byte + per_byte};
  };
  return std::max({after(received_[m.from], m.alpha + wire), after(sent_[m.from], wire),
                   after(received_[m.to], wire)});
}

// When the stages end, one after the other.
std::vector<PreparedPlan::Date> PreparedPlan::walk(double bytes, Pace pace) {
  received_.assign(plan_.ranks, {});  // all that the rank was to receive so far is there
  sent_.assign(plan_.ranks, {});      // its last message has left
  std::vector<Date> ends;
  bool together = true;  // all ranks at the same date
  for (std::uint32_t r = 0; r < plan_.rounds.size(); ++r) {
    const std::int64_t repeat = plan_.rounds[r].repeat;
    const std::span<const Message> messages(messages_.data() + first_message_[r],
                                            messages_.data() + first_message_[r + 1]);
    double slowest = 0, quickest = messages.empty() ? 0 : kInfinity;
    for (const Message& m : messages) {
      const double t = m.alpha + bytes * m.share * m.*pace;
      slowest = std::max(slowest, t);
      quickest = std::min(quickest, t);
    }
    if (together && messages.size() == plan_.ranks && slowest == quickest) {
      // In step: exact, without walking through the repetitions.
      const Date there{received_[0].s + static_cast<double>(repeat) * slowest,
                       received_[0].per_byte +
                           static_cast<double>(repeat) * messages[0].share * messages[0].*pace};
      std::fill(received_.begin(), received_.end(), there);
      std::fill(sent_.begin(), sent_.end(), there);
    } else {
      for (std::int64_t k = 0; k < repeat; ++k) {
        arriving_.clear();
        for (const Message& m : messages) arriving_.push_back(arrival(m, bytes, pace));
        for (std::size_t i = 0; i < messages.size(); ++i)
          sent_[messages[i].from] = received_[messages[i].to] = arriving_[i];
      }
      const auto there = [&](const Date& d) { return d.s == received_[0].s; };
      together = std::all_of(received_.begin(), received_.end(), there) &&
                 std::all_of(sent_.begin(), sent_.end(), there);
    }
    if (r + 1 == plan_.rounds.size() || plan_.rounds[r + 1].stage != plan_.rounds[r].stage)
      ends.push_back(*std::max_element(received_.begin(), received_.end()));
  }
  return ends;
}

// A ring of N ranks is a walk over 2 N^2 messages. Where it ends is the largest of many lines over
// the bytes, one for each chain of messages: between two sizes with the same slope it is that line.
double PreparedPlan::stage_end_s(std::size_t stage, double bytes, Pace pace) {
  std::vector<Ends>& known = pace == &Message::seconds_per_byte ? ends_ : loaded_ends_;
  const auto above = std::lower_bound(known.begin(), known.end(), bytes,
                                      [](const Ends& e, double b) { return e.bytes < b; });
  if (above != known.end() && above->bytes == bytes) return above->stage[stage].s;
  if (walks_long_ && above != known.begin() && above != known.end()) {
    constexpr double kSame = 1e-13;
    const Date &below = (above - 1)->stage[stage], &beyond = above->stage[stage];
    if (std::abs(below.per_byte - beyond.per_byte) <= kSame * beyond.per_byte)
      return below.s + (bytes - (above - 1)->bytes) * below.per_byte;
  }
  return known.insert(above, {bytes, walk(bytes, pace)})->stage[stage].s;
}

double PreparedPlan::closed_s(double bytes) {
  return stages_.empty() ? 0 : stage_end_s(stages_.size() - 1, bytes, &Message::seconds_per_byte);
}

double PreparedPlan::alone_s(double bytes) {
  if (contended_link_ < 0) return closed_s(bytes);
  double seconds = 0;
  for (std::size_t s = 0; s < stages_.size(); ++s)
    seconds += stages_[s].filled
                   ? stage_fill_s(s, bytes) + bytes * stages_[s].fluid_s_per_byte
                   : stages_[s].groups.back().alpha + bytes * stages_[s].busiest_s_per_byte;
  return seconds;
}

double PreparedPlan::stage_fill_s(std::size_t stage, double bytes) {
  Stage& s = stages_[stage];
  if (s.fluid_s_per_byte < 0) s.fluid_s_per_byte = max_min_time(s.flows, bandwidth_);
  constexpr Pace kLoaded = &Message::loaded_seconds_per_byte;
  const double before = stage > 0 ? stage_end_s(stage - 1, bytes, kLoaded) : 0;
  return std::max(0.0, stage_end_s(stage, bytes, kLoaded) - before - bytes * s.fluid_s_per_byte);
}

double PreparedPlan::alpha_share(double bytes) {
  const double total = closed_s(bytes);
  if (total <= 0) return 0;
  double latency = 0;
  for (std::size_t s = 0; s < stages_.size(); ++s)
    latency += stages_[s].filled ? stage_fill_s(s, bytes) : stages_[s].groups.back().alpha;
  return std::min(1.0, latency / total);
}

void PreparedPlan::add_link_bytes(std::vector<double>& link_bytes, double bytes) const {
  for (const LinkId link : links_) link_bytes[link] += link_share_[link] * bytes;
}

}  // namespace paceline
