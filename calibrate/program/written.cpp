#include "calibrate/program/written.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "base/units.hpp"
#include "sim/network/network.hpp"
#include "sim/network/prepared_plan.hpp"

namespace paceline {
namespace {

// By node, those that have any.
std::vector<std::vector<Endpoint>> gpus_by_node(const Cluster& cluster) {
  std::vector<std::vector<Endpoint>> by_node(cluster.nodes());
  for (Endpoint gpu = 0; gpu < cluster.gpus(); ++gpu) by_node[cluster.node_of(gpu)].push_back(gpu);
  std::erase_if(by_node, [](const std::vector<Endpoint>& gpus) { return gpus.empty(); });
  return by_node;
}

struct Members {
  std::vector<Endpoint> gpus;  // by rank
  std::string text;
};

Members members_for(const Cluster& cluster, std::size_t ranks, LinkClass link_class) {
  const std::vector<std::vector<Endpoint>> by_node = gpus_by_node(cluster);
  Members members;
  if (link_class == LinkClass::network && by_node.size() >= ranks) {
    for (std::size_t node = 0; node < ranks; ++node) members.gpus.push_back(by_node[node].front());
    members.text = fmt::format("one GPU of each of {} nodes", ranks);
    return members;
  }
  const auto large = std::find_if(by_node.begin(), by_node.end(),
                                  [&](const auto& gpus) { return gpus.size() >= ranks; });
  if (link_class != LinkClass::network && large != by_node.end()) {
    members.gpus.assign(large->begin(), large->begin() + static_cast<std::ptrdiff_t>(ranks));
    members.text = fmt::format("{} GPUs of one node", ranks);
  } else if (cluster.gpus() >= ranks) {
    for (Endpoint gpu = 0; gpu < ranks; ++gpu) members.gpus.push_back(gpu);
    members.text = fmt::format("its first {} GPUs", ranks);
  }
  return members;
}

// Of the ring's hops.
LinkId narrowest_link(const Cluster& cluster, const std::vector<Endpoint>& gpus) {
  std::optional<LinkId> narrowest;
  Route route;
  for (std::size_t rank = 0; rank < gpus.size(); ++rank) {
    cluster.route(gpus[rank], gpus[(rank + 1) % gpus.size()], route);
    for (const LinkId link : route.links)
      if (!narrowest || cluster.links()[link].bandwidth < cluster.links()[*narrowest].bandwidth)
        narrowest = link;
  }
  return narrowest.value_or(0);
}

// Seconds for so many bytes.
std::function<double(double)> simulated(const Cluster& cluster, const std::vector<Endpoint>& gpus,
                                        MessagePattern kind) {
  if (kind == MessagePattern::point_to_point) {
    Route route;
    cluster.route(gpus[0], gpus[1], route);
    return [alpha = route.latency, bandwidth = cluster.bandwidth(route)](double bytes) {
      return alpha + bytes / bandwidth;
    };
  }
  const auto ring = std::make_shared<PreparedPlan>(
      plan_ring(static_cast<std::uint32_t>(gpus.size())), cluster, gpus);
  return [ring](double bytes) { return ring->alone_s(bytes); };
}

// On a cluster of that description; nothing if it has too few GPUs.
std::optional<double> ring_start_up(const ClusterSpec& spec, std::size_t ranks) {
  const Cluster cluster = build_cluster(spec);
  const Members members = members_for(cluster, ranks, LinkClass::network);
  if (members.gpus.empty()) return std::nullopt;
  return simulated(cluster, members.gpus, MessagePattern::all_reduce)(0);
}

}  // namespace

ClusterSpec with_ring_latency(ClusterSpec written, const FittedLink& link, const MessageLog& log) {
  if (log.kind != MessagePattern::all_reduce || !log.ranks || log.samples.empty()) return written;
  const auto ranks = static_cast<std::size_t>(*log.ranks);
  const double before = written.network.latency;
  // The start-up grows linearly with the latency, by pieces: the heaviest of many chains of hops.
  constexpr double kStep = 1e-6;
  for (int round = 0; round < 4; ++round) {
    ClusterSpec more = written;
    more.network.latency += kStep;
    const std::optional<double> now = ring_start_up(written, ranks);
    if (!now) return written;
    const double slope = (*ring_start_up(more, ranks) - *now) / kStep;
    if (slope <= 0) return written;
    const double latency = written.network.latency + (link.law.alpha_s - *now) / slope;
    written.network.latency = std::max(0.0, latency);
  }
  if (std::abs(written.network.latency - before) > 1e-3 * before)
    for (auto& [subject, source] : written.sources)
      if (source.find(link.derivation) != std::string::npos)
        source += fmt::format("; {} between nodes, as other hops have their own latency",
                              format_duration(written.network.latency));
  return written;
}

std::optional<WrittenError> written_error(const ClusterSpec& written, const MessageLog& log,
                                          LinkClass link_class) {
  const bool pair = log.kind == MessagePattern::point_to_point;
  if (log.samples.empty() || (!pair && (log.kind != MessagePattern::all_reduce || !log.ranks)))
    return std::nullopt;
  const Cluster cluster = build_cluster(written);
  const Members members =
      members_for(cluster, pair ? 2 : static_cast<std::size_t>(*log.ranks), link_class);
  if (members.gpus.empty()) return std::nullopt;
  const std::function<double(double)> seconds = simulated(cluster, members.gpus, log.kind);
  WrittenError error;
  error.gpus = members.text;
  for (const MessageSample& sample : log.samples) {
    const double own = seconds(sample.bytes), miss = std::abs(own / sample.seconds - 1);
    error.mean += miss / static_cast<double>(log.samples.size());
    if (miss < error.worst) continue;
    error.worst = miss;
    error.worst_bytes = sample.bytes;
    error.worst_simulated_s = own;
    error.worst_measured_s = sample.seconds;
  }
  if (!cluster.links().empty()) {
    const Link& link = cluster.links()[narrowest_link(cluster, members.gpus)];
    error.narrowest = link.name;
    error.narrowest_bandwidth = link.bandwidth;
  }
  return error;
}

}  // namespace paceline
