#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/cluster_names.hpp"
#include "platforms/gpu_file.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

template <typename Enum>
Enum enum_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<Enum>(std::find(names.begin(), names.end(), name) - names.begin());
}

LinkSpec read_link(ObjectReader& parent, std::string_view key) {
  LinkSpec link;
  if (!parent.raw(key).is_object()) {
    link.bandwidth = parent.bandwidth(key);
    return link;
  }
  ObjectReader reader = parent.object(key);
  link.bandwidth = reader.bandwidth("bandwidth");
  link.latency = reader.duration("latency", link.latency);
  link.overhead = reader.duration("overhead", link.overhead);
  link.efficiency = reader.number("efficiency", 0, 1, link.efficiency);
  reader.finish();
  return link;
}

/// A name of the table, or what the user says of a card.
void read_gpu(ObjectReader& reader, NodeGroup& group) {
  if (reader.has("gpu") && reader.raw("gpu").is_object()) {
    ObjectReader gpu = reader.object("gpu");
    set_card(group, read_gpu_card(gpu));
    return;
  }
  const std::string name = reader.string("gpu");
  try {
    group.gpu = find_gpu(name).name;
  } catch (const InputError& error) {
    reader.fail_at("gpu", std::string(error.what()) + how_to_describe(name));
  }
}

// "250W", or {"idle": "55W", "busy": "250W"}, whose "busy" may be known already.
Draw read_draw(ObjectReader& parent, std::string_view key, double busy) {
  if (!parent.raw(key).is_object()) {
    const double watts = parent.power(key);
    return {watts, watts};
  }
  ObjectReader reader = parent.object(key);
  Draw draw;
  draw.idle = reader.power("idle");
  draw.busy = busy > 0 ? reader.power("busy", busy) : reader.power("busy");
  if (draw.busy < draw.idle) reader.fail_at("busy", "must be as much as \"idle\" or more");
  reader.finish();
  return draw;
}

// "price" and "power", objects of what has one; `busy` of the first, where it is known.
void read_upkeep(ObjectReader& reader, double busy,
                 const std::vector<std::pair<const char*, Upkeep*>>& things) {
  if (reader.has("price")) {
    ObjectReader prices = reader.object("price");
    for (const auto& [name, upkeep] : things)
      if (prices.has(name)) upkeep->price = prices.price(name);
    prices.finish();
  }
  if (!reader.has("power")) return;
  ObjectReader power = reader.object("power");
  for (const auto& [name, upkeep] : things)
    if (power.has(name))
      upkeep->power = read_draw(power, name, std::string_view(name) == "gpu" ? busy : 0);
  power.finish();
}

NodeGroup read_group(ObjectReader& reader, std::size_t index) {
  NodeGroup group;
  group.name = reader.string("name", fmt::format("group{}", index));
  group.count = static_cast<std::size_t>(reader.integer_or("count", 1, 1));
  group.gpus = static_cast<std::size_t>(reader.integer("gpus", 0));
  if (group.gpus > 0) {
    read_gpu(reader, group);
    group.speed = reader.number("speed", 0, HUGE_VAL, group.speed);
    group.pcie = read_link(reader, "pcie");
    if (reader.has("nvlink")) group.nvlink = read_link(reader, "nvlink");
    group.bridge = optional_bandwidth(reader, "bridge");
    if (reader.has("roots")) {
      ObjectReader roots = reader.object("roots");
      group.roots = RootSpec{static_cast<std::size_t>(roots.integer("count", 2)),
                             roots.bandwidth("bandwidth")};
      roots.finish();
    }
    group.peers_cross_bridge = reader.boolean("peers_cross_bridge", group.peers_cross_bridge);
  }
  group.nic = optional_bandwidth(reader, "nic");
  if (reader.has("host")) {
    ObjectReader host = reader.object("host");
    group.host.memory_bandwidth = host.bandwidth("memory_bandwidth", kInfinity);
    group.host.memory_bytes = host.bytes("memory", kInfinity);
    host.finish();
  }
  std::vector<std::pair<const char*, Upkeep*>> things{{"gpu", &group.gpu_upkeep},
                                                      {"node", &group.node_upkeep}};
  if (group.gpus == 0) things.erase(things.begin());
  // A node draws the same all the time: nobody says here what its processors do.
  const double watts =
      group.gpus == 0 ? 0 : (group.card ? group.card->watts : find_gpu(group.gpu).watts);
  read_upkeep(reader, watts, things);
  if (group.node_upkeep.power && group.node_upkeep.power->idle != group.node_upkeep.power->busy)
    reader.fail_at("power", "\"node\" is one figure, \"150W\": a host draws it the whole time");
  reader.finish();
  return group;
}

NetworkSpec read_network(ObjectReader reader) {
  NetworkSpec network;
  if (reader.has("topology")) network.topology = read_topology(reader.object("topology"));
  network.overhead = reader.duration("overhead", network.overhead);
  network.efficiency = reader.number("efficiency", 0, 1, network.efficiency);
  if (!network.topology.platform_file().empty()) {
    network.bandwidth = kInfinity;
    network.latency = 0;
    for (const char* key : {"bandwidth", "latency", "switch_latency", "price", "power"})
      if (reader.has(key)) reader.fail_at(key, "the SimGrid platform file brings its own");
  } else {
    network.bandwidth = reader.bandwidth("bandwidth");
    network.latency = reader.duration("latency");
    network.switch_latency = reader.duration("switch_latency", network.switch_latency);
    read_upkeep(reader, 0, {{"port", &network.port_upkeep}, {"link", &network.link_upkeep}});
  }
  reader.finish();
  return network;
}

Endpoint read_endpoint(ObjectReader& reader, std::string_view key, const ClusterSpec& spec) {
  const std::string text = reader.string(key);
  for (const auto& [prefix, first, count] :
       {std::tuple<std::string_view, std::size_t, std::size_t>{"gpu", 0, spec.gpu_count()},
        {"node", spec.gpu_count(), spec.node_count()}}) {
    if (!text.starts_with(prefix)) continue;
    std::size_t index = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, index);
    if (error != std::errc{} || stop != end) break;
    if (index >= count)
      reader.fail_at(key, fmt::format("'{}': the last one is '{}{}'", text, prefix, count - 1));
    return static_cast<Endpoint>(first + index);
  }
  reader.fail_at(key, fmt::format("expected \"gpuN\" or \"nodeN\", found \"{}\"", text));
}

void read_disturbances(ObjectReader& reader, ClusterSpec& spec) {
  if (reader.has("stragglers"))
    for (ObjectReader& item : reader.objects("stragglers")) {
      Straggler straggler;
      straggler.worker = static_cast<std::uint32_t>(item.integer("worker", 0, INT32_MAX));
      straggler.slowdown = item.number("slowdown", 1, HUGE_VAL);
      straggler.from = item.duration("from", straggler.from);
      straggler.until = item.duration("until", straggler.until);
      item.finish();
      spec.stragglers.push_back(straggler);
    }
  if (reader.has("link_events"))
    for (ObjectReader& item : reader.objects("link_events")) {
      LinkEvent event;
      event.links = item.string("links");
      event.at = item.duration("at");
      event.factor = item.number("factor", 0, HUGE_VAL);
      item.finish();
      spec.link_events.push_back(event);
    }
  if (reader.has("background"))
    for (ObjectReader& item : reader.objects("background")) {
      BackgroundTraffic traffic;
      traffic.from = read_endpoint(item, "from", spec);
      traffic.to = read_endpoint(item, "to", spec);
      traffic.rate = item.bandwidth("rate");
      traffic.since = item.duration("since", traffic.since);
      traffic.until = item.duration("until", traffic.until);
      item.finish();
      spec.background.push_back(traffic);
    }
  if (reader.has("jitter")) spec.jitter = read_jitter(reader.object("jitter"));
}

}  // namespace

Jitter read_jitter(ObjectReader reader) {
  Jitter jitter;
  jitter.distribution =
      enum_of<Jitter::Distribution>(kJitterNames, reader.choice("distribution", kJitterNames));
  jitter.cv = jitter.needs_cv() ? reader.number("cv", Jitter::kLeastCv, Jitter::kMostCv)
                                : reader.number("cv", 0, Jitter::kMostCv, 0);
  reader.finish();
  return jitter;
}

ClusterSpec read_cluster(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  expect_format(reader, std::string(kClusterFormat));
  ClusterSpec spec;
  spec.file = file;
  spec.name = reader.string("name");
  spec.description = reader.string("description", "");
  if (reader.has("sources")) {
    ObjectReader sources = reader.object("sources");
    for (const std::string& key : sources.keys()) spec.sources[key] = sources.string(key);
  }
  for (ObjectReader& group : reader.objects("nodes"))
    spec.nodes.push_back(read_group(group, spec.nodes.size()));
  spec.network = read_network(reader.object("network"));
  if (reader.has("servers")) spec.servers = sizes_of(reader, "servers");
  validate(spec);  // disturbances name its GPUs and nodes
  read_disturbances(reader, spec);
  reader.finish();
  validate(spec);
  return spec;
}

}  // namespace paceline
