#include <fmt/format.h>

#include <cmath>

#include "base/json.hpp"
#include "base/units.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/cluster_names.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

Json write_link(const LinkSpec& link) {
  return {{"bandwidth", write_bandwidth(link.bandwidth)},
          {"latency", write_duration(link.latency)},
          {"overhead", write_duration(link.overhead)},
          {"efficiency", link.efficiency}};
}

void write_upkeep(const std::vector<std::pair<const char*, const Upkeep*>>& things, Json& json) {
  for (const auto& [name, upkeep] : things) {
    if (upkeep->price) json["price"][name] = write_price(*upkeep->price);
    if (!upkeep->power) continue;
    const Draw& draw = *upkeep->power;
    json["power"][name] = draw.idle == draw.busy ? Json(write_power(draw.idle))
                                                 : Json{{"idle", write_power(draw.idle)},
                                                        {"busy", write_power(draw.busy)}};
  }
}

Json write_group(const NodeGroup& group) {
  Json json{{"name", group.name}, {"count", group.count}, {"gpus", group.gpus}};
  if (group.gpus > 0) {
    json["gpu"] = group.card ? write_gpu(*group.card) : Json(group.gpu);
    json["speed"] = group.speed;
    json["pcie"] = write_link(group.pcie);
    if (group.nvlink) json["nvlink"] = write_link(*group.nvlink);
    if (group.bridge) json["bridge"] = write_bandwidth(*group.bridge);
    if (group.roots)
      json["roots"] = {{"count", group.roots->count},
                       {"bandwidth", write_bandwidth(group.roots->bandwidth)}};
    json["peers_cross_bridge"] = group.peers_cross_bridge;
  }
  if (group.nic) json["nic"] = write_bandwidth(*group.nic);
  json["host"] = {{"memory_bandwidth", write_bandwidth(group.host.memory_bandwidth)}};
  if (!std::isinf(group.host.memory_bytes))
    json["host"]["memory"] = write_bytes(group.host.memory_bytes);
  write_upkeep({{"gpu", &group.gpu_upkeep}, {"node", &group.node_upkeep}}, json);
  return json;
}

// A disturbance without end has no "until".
void write_until(double until, Json& disturbance) {
  if (!std::isinf(until)) disturbance["until"] = write_duration(until);
}

void write_disturbances(const ClusterSpec& spec, Json& json) {
  const auto endpoint = [&](Endpoint e) {
    return e < spec.gpu_count() ? fmt::format("gpu{}", e)
                                : fmt::format("node{}", e - spec.gpu_count());
  };
  for (const Straggler& s : spec.stragglers) {
    json["stragglers"].push_back(
        {{"worker", s.worker}, {"slowdown", s.slowdown}, {"from", write_duration(s.from)}});
    write_until(s.until, json["stragglers"].back());
  }
  for (const LinkEvent& e : spec.link_events)
    json["link_events"].push_back(
        {{"links", e.links}, {"at", write_duration(e.at)}, {"factor", e.factor}});
  for (const BackgroundTraffic& b : spec.background) {
    json["background"].push_back({{"from", endpoint(b.from)},
                                  {"to", endpoint(b.to)},
                                  {"rate", write_bandwidth(b.rate)},
                                  {"since", write_duration(b.since)}});
    write_until(b.until, json["background"].back());
  }
  json["jitter"] = write_jitter(spec.jitter);
}

}  // namespace

void set_card(NodeGroup& group, const GpuSpec& card) {
  group.gpu = card.name;
  const GpuSpec* known = known_gpu(card.name);
  if (known != nullptr && *known == card)
    group.card.reset();
  else
    group.card = card;
}

Json write_jitter(const Jitter& jitter) {
  return {{"distribution", kJitterNames[static_cast<std::size_t>(jitter.distribution)]},
          {"cv", jitter.cv}};
}

Json write_cluster(const ClusterSpec& spec) {
  Json json{{"format", kClusterFormat}, {"name", spec.name}, {"description", spec.description}};
  json["sources"] = Json::object();
  for (const auto& [subject, source] : spec.sources) json["sources"][subject] = source;
  json["nodes"] = Json::array();
  for (const NodeGroup& group : spec.nodes) json["nodes"].push_back(write_group(group));
  const NetworkSpec& network = spec.network;
  const bool own = network.topology.platform_file().empty();  // else the platform file says
  Json& written = json["network"] = Json::object();
  if (own) {
    written["bandwidth"] = write_bandwidth(network.bandwidth);
    written["latency"] = write_duration(network.latency);
  }
  written["overhead"] = write_duration(network.overhead);
  written["efficiency"] = network.efficiency;
  if (own) written["switch_latency"] = write_duration(network.switch_latency);
  written["topology"] = write_topology(network.topology);
  write_upkeep({{"port", &network.port_upkeep}, {"link", &network.link_upkeep}}, written);
  if (!spec.servers.empty()) json["servers"] = spec.servers;
  write_disturbances(spec, json);
  return json;
}

}  // namespace paceline
