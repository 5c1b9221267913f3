#include "platforms/cluster_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/fields.hpp"
#include "platforms/gpu_file.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

const std::vector<std::string> kJitterNames{"none", "normal", "lognormal", "gamma", "profile"};

/// Or its bandwidth alone.
const field::ObjectOr kLink{[](ObjectReader& r, std::string_view key, LinkSpec& link) {
  if (r.raw(key).is_object()) return false;
  link.bandwidth = r.bandwidth(key);
  return true;
}};

/// The card of a group: a name of the table, or what the user says of it.
struct CardForm {
  void read(ObjectReader& r, std::string_view key, NodeGroup& group) const {
    if (r.raw(key).is_object()) {
      ObjectReader gpu = r.object(key);
      set_card(group, read_gpu_card(gpu));
      return;
    }
    const std::string name = r.string(key);
    try {
      group.gpu = find_gpu(name).name;
    } catch (const InputError& error) {
      r.fail_at(key, std::string(error.what()) + how_to_describe(name));
    }
  }
  [[nodiscard]] Json write(const NodeGroup& group) const {
    return group.card ? write_gpu(*group.card) : Json(group.gpu);
  }
};

/// "250W", or {"idle": "55W", "busy": "250W"}, whose "busy" may be known already.
struct DrawForm {
  double busy = 0;
  void read(ObjectReader& r, std::string_view key, Draw& draw) const {
    if (!r.raw(key).is_object()) {
      const double watts = r.power(key);
      draw = {watts, watts};
      return;
    }
    draw.busy = busy;
    field::Object{}.read(r, key, draw);
  }
  [[nodiscard]] Json write(const Draw& draw) const {
    return draw.idle == draw.busy ? Json(write_power(draw.idle)) : write_fields(draw);
  }
};

struct Thing {
  const char* name;
  Upkeep& upkeep;
  double busy = 0;  ///< watts, where known
};

struct PricesForm {
  static void fields(auto& f, const std::vector<Thing>& things) {
    for (const Thing& thing : things) f.optional(thing.name, thing.upkeep.price, field::Price{});
  }
};

struct PowersForm {
  static void fields(auto& f, const std::vector<Thing>& things) {
    for (const Thing& thing : things)
      f.optional(thing.name, thing.upkeep.power, DrawForm{thing.busy});
  }
};

/// An object with a key for each of several things that has one.
template <class Of>
struct ThingsForm {
  void read(ObjectReader& r, std::string_view key, const std::vector<Thing>& things) const {
    ObjectReader inner = r.object(key);
    FieldReader f(inner);
    Of::fields(f, things);
    inner.finish();
  }
  [[nodiscard]] Json write(const std::vector<Thing>& things) const {
    Json json = Json::object();
    FieldWriter f(json);
    Of::fields(f, things);
    return json;
  }
};

// "price" and "power" of what has one.
template <class F>
void upkeep(F& f, const std::vector<Thing>& things) {
  const auto any = [&](auto member) {
    return F::kReads || std::any_of(things.begin(), things.end(), [&](const Thing& thing) {
             return (thing.upkeep.*member).has_value();
           });
  };
  if (any(&Upkeep::price)) f.stated("price", things, ThingsForm<PricesForm>{});
  if (any(&Upkeep::power)) f.stated("power", things, ThingsForm<PowersForm>{});
}

struct TopologyForm {
  void read(ObjectReader& r, std::string_view key, TopologySpec& topology) const {
    topology = read_topology(r.object(key));
  }
  [[nodiscard]] Json write(const TopologySpec& topology) const { return write_topology(topology); }
};

struct SizesForm {
  void read(ObjectReader& r, std::string_view key, std::vector<std::size_t>& sizes) const {
    sizes = sizes_of(r, key);
  }
  [[nodiscard]] Json write(const std::vector<std::size_t>& sizes) const { return sizes; }
};

/// "gpuN" or "nodeN".
struct EndpointForm {
  const ClusterSpec& spec;

  void read(ObjectReader& r, std::string_view key, Endpoint& endpoint) const {
    const std::string text = r.string(key);
    for (const auto& [prefix, first, count] :
         {std::tuple<std::string_view, std::size_t, std::size_t>{"gpu", 0, spec.gpu_count()},
          {"node", spec.gpu_count(), spec.node_count()}}) {
      if (!text.starts_with(prefix)) continue;
      std::size_t index = 0;
      const char* end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, index);
      if (error != std::errc{} || stop != end) break;
      if (index >= count)
        r.fail_at(key, fmt::format("'{}': the last one is '{}{}'", text, prefix, count - 1));
      endpoint = static_cast<Endpoint>(first + index);
      return;
    }
    r.fail_at(key, fmt::format("expected \"gpuN\" or \"nodeN\", found \"{}\"", text));
  }
  [[nodiscard]] Json write(Endpoint endpoint) const {
    const std::size_t gpus = spec.gpu_count();
    return endpoint < gpus ? fmt::format("gpu{}", endpoint)
                           : fmt::format("node{}", endpoint - gpus);
  }
};

}  // namespace

template <class F>
static void fields(F& f, LinkSpec& link) {
  f.required("bandwidth", link.bandwidth, field::Bandwidth{});
  f.stated("latency", link.latency, field::Duration{});
  f.stated("overhead", link.overhead, field::Duration{});
  f.stated("efficiency", link.efficiency, field::Number{0, 1});
}

template <class F>
static void fields(F& f, Draw& draw) {
  f.required("idle", draw.idle, field::Power{});
  if (draw.busy > 0)
    f.stated("busy", draw.busy, field::Power{});
  else
    f.required("busy", draw.busy, field::Power{});
  if constexpr (F::kReads)
    if (draw.busy < draw.idle) f.reader().fail_at("busy", "must be as much as \"idle\" or more");
}

template <class F>
static void fields(F& f, RootSpec& roots) {
  f.required("count", roots.count, field::Whole{2});
  f.required("bandwidth", roots.bandwidth, field::Bandwidth{});
}

template <class F>
static void fields(F& f, HostSpec& host) {
  f.stated("memory_bandwidth", host.memory_bandwidth, field::Bandwidth{});
  f.unless("memory", host.memory_bytes, kInfinity, field::Bytes{});
}

template <class F>
static void fields(F& f, NodeGroup& group) {
  f.stated("name", group.name, field::Text{});
  f.stated("count", group.count, field::Whole{1});
  f.required("gpus", group.gpus, field::Whole{0});
  if (group.gpus > 0) {
    f.required("gpu", group, CardForm{});
    f.stated("speed", group.speed, field::Number{0});
    f.required("pcie", group.pcie, kLink);
    f.optional("nvlink", group.nvlink, kLink);
    f.optional("bridge", group.bridge, field::Bandwidth{});
    f.optional("roots", group.roots, field::Object{});
    f.stated("peers_cross_bridge", group.peers_cross_bridge, field::Flag{});
  }
  f.optional("nic", group.nic, field::Bandwidth{});
  f.stated("host", group.host, field::Object{});
  if (group.gpus > 0) {
    const GpuSpec* card = group.card ? &*group.card : known_gpu(group.gpu);
    const double watts = card != nullptr ? card->watts : 0;
    upkeep(f, {{"gpu", group.gpu_upkeep, watts}, {"node", group.node_upkeep}});
  } else {
    upkeep(f, {{"node", group.node_upkeep}});
  }
  // A node draws the same all the time: nobody says here what its processors do.
  if constexpr (F::kReads)
    if (group.node_upkeep.power && group.node_upkeep.power->idle != group.node_upkeep.power->busy)
      f.reader().fail_at("power",
                         "\"node\" is one figure, \"150W\": a host draws it the whole time");
}

template <class F>
static void fields(F& f, NetworkSpec& network) {
  f.stated("topology", network.topology, TopologyForm{});
  f.stated("overhead", network.overhead, field::Duration{});
  f.stated("efficiency", network.efficiency, field::Number{0, 1});
  if (network.topology.platform_file().empty()) {
    f.required("bandwidth", network.bandwidth, field::Bandwidth{});
    f.required("latency", network.latency, field::Duration{});
    f.stated("switch_latency", network.switch_latency, field::Duration{});
    upkeep(f, {{"port", network.port_upkeep}, {"link", network.link_upkeep}});
  } else if constexpr (F::kReads) {
    for (const char* key : {"bandwidth", "latency", "switch_latency", "price", "power"})
      if (f.reader().has(key)) f.reader().fail_at(key, "the SimGrid platform file brings its own");
  }
}

template <class F>
static void fields(F& f, Straggler& straggler) {
  f.required("worker", straggler.worker, field::Whole{0, INT32_MAX});
  f.required("slowdown", straggler.slowdown, field::Number{1});
  f.stated("from", straggler.from, field::Duration{});
  f.unless("until", straggler.until, kInfinity, field::Duration{});
}

template <class F>
static void fields(F& f, LinkEvent& event) {
  f.required("links", event.links, field::Text{});
  f.required("at", event.at, field::Duration{});
  f.required("factor", event.factor, field::Number{0});
}

template <class F>
static void fields(F& f, Jitter& jitter) {
  f.required("distribution", jitter.distribution, field::Choice{kJitterNames});
  if (jitter.needs_cv())
    f.required("cv", jitter.cv, field::Number{Jitter::kLeastCv, Jitter::kMostCv});
  else
    f.stated("cv", jitter.cv, field::Number{0, Jitter::kMostCv});
}

template <class F>
static void fields(F& f, ClusterSpec& spec) {
  f.format("paceline-cluster-1");
  f.required("name", spec.name, field::Text{});
  f.stated("description", spec.description, field::Text{});
  f.stated("sources", spec.sources, field::TextMap{});
  f.required("nodes", spec.nodes, field::Objects{});
  f.required("network", spec.network, field::Object{});
  f.unless("servers", spec.servers, {}, SizesForm{});
  if constexpr (F::kReads) {
    for (std::size_t i = 0; i < spec.nodes.size(); ++i)
      if (spec.nodes[i].name.empty()) spec.nodes[i].name = fmt::format("group{}", i);
    validate(spec);  // disturbances name its GPUs and nodes
  }
  f.unless("stragglers", spec.stragglers, {}, field::Objects{});
  f.unless("link_events", spec.link_events, {}, field::Objects{});
  f.unless("background", spec.background, {},
           field::Objects{[&spec](auto& item, BackgroundTraffic& traffic) {
             item.required("from", traffic.from, EndpointForm{spec});
             item.required("to", traffic.to, EndpointForm{spec});
             item.required("rate", traffic.rate, field::Bandwidth{});
             item.stated("since", traffic.since, field::Duration{});
             item.unless("until", traffic.until, kInfinity, field::Duration{});
           }});
  f.stated("jitter", spec.jitter, field::Object{});
}

void set_card(NodeGroup& group, const GpuSpec& card) {
  group.gpu = card.name;
  const GpuSpec* known = known_gpu(card.name);
  if (known != nullptr && *known == card)
    group.card.reset();
  else
    group.card = card;
}

Jitter read_jitter(ObjectReader reader) {
  Jitter jitter;
  read_fields(reader, jitter);
  return jitter;
}

Json write_jitter(const Jitter& jitter) {
  return write_fields(jitter);
}

ClusterSpec read_cluster(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  ClusterSpec spec;
  spec.file = file;
  read_fields(reader, spec);
  validate(spec);
  return spec;
}

Json write_cluster(const ClusterSpec& spec) {
  return write_fields(spec);
}

}  // namespace paceline
