#include "sim/network/xml_platform.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text_file.hpp"

namespace paceline {
namespace {

enum class Value {
  text,
  rate,
  rates,
  delay,
  radical,
  sizes,
  routing,
  sharing,
  backbone_sharing,
  topology,
  direction,
  yes_no
};

// Of the values that are words. WIFI links are not: they have no bandwidth of their own.
const std::map<Value, std::vector<std::string>> kWords{
    {Value::routing, {"Full", "Floyd", "Dijkstra", "DijkstraCache", "None", "Vivaldi", "Cluster"}},
    {Value::sharing, {"SHARED", "SPLITDUPLEX", "FULLDUPLEX", "FATPIPE"}},
    {Value::backbone_sharing, {"SHARED", "FATPIPE"}},
    {Value::topology, {"FLAT", "TORUS", "FAT_TREE", "DRAGONFLY"}},
    {Value::direction, {"UP", "DOWN", "NONE"}},
    {Value::yes_no, {"YES", "NO", "yes", "no"}}};

using Attributes = std::map<std::string_view, Value>;
struct Element {
  std::vector<std::string> inside;
  Attributes attributes;
};

const std::vector<std::string> kZones{"zone", "AS"};
const std::vector<std::string> kRoutes{"route",       "zoneRoute",       "ASroute",
                                       "bypassRoute", "bypassZoneRoute", "bypassASroute"};
const Attributes kEnds{{"src", Value::text}, {"dst", Value::text}};
const Attributes kGateways{
    {"src", Value::text}, {"dst", Value::text}, {"gw_src", Value::text}, {"gw_dst", Value::text}};

Attributes with(Attributes attributes, Attributes more) {
  attributes.merge(more);
  return attributes;
}

// SimGrid's own document type (simgrid.dtd, 4.1), as far as it describes hosts, links and routes.
const std::map<std::string, Element, std::less<>> kElements{
    {"platform", {{""}, {{"version", Value::text}}}},
    {"zone", {{"platform", "zone", "AS"}, {{"id", Value::text}, {"routing", Value::routing}}}},
    {"AS", {{"platform", "zone", "AS"}, {{"id", Value::text}, {"routing", Value::routing}}}},
    {"host",
     {kZones,
      {{"id", Value::text},
       {"speed", Value::rates},
       {"core", Value::text},
       {"pstate", Value::text},
       {"coordinates", Value::text}}}},
    {"router", {kZones, {{"id", Value::text}, {"coordinates", Value::text}}}},
    {"link",
     {kZones,
      {{"id", Value::text},
       {"bandwidth", Value::rate},
       {"latency", Value::delay},
       {"sharing_policy", Value::sharing}}}},
    {"backbone",
     {kZones, {{"id", Value::text}, {"bandwidth", Value::rate}, {"latency", Value::delay}}}},
    {"host_link", {kZones, {{"id", Value::text}, {"up", Value::text}, {"down", Value::text}}}},
    {"cluster",
     {{"platform", "zone", "AS"},
      {{"id", Value::text},
       {"prefix", Value::text},
       {"suffix", Value::text},
       {"radical", Value::radical},
       {"speed", Value::rates},
       {"core", Value::text},
       {"bw", Value::rate},
       {"lat", Value::delay},
       {"sharing_policy", Value::sharing},
       {"bb_bw", Value::rate},
       {"bb_lat", Value::delay},
       {"bb_sharing_policy", Value::backbone_sharing},
       {"loopback_bw", Value::rate},
       {"loopback_lat", Value::delay},
       {"limiter_link", Value::rate},
       {"topology", Value::topology},
       {"topo_parameters", Value::sizes},
       {"router_id", Value::text}}}},
    {"cabinet",
     {kZones,
      {{"id", Value::text},
       {"prefix", Value::text},
       {"suffix", Value::text},
       {"radical", Value::radical},
       {"speed", Value::rates},
       {"bw", Value::rate},
       {"lat", Value::delay}}}},
    {"peer",
     {kZones,
      {{"id", Value::text},
       {"speed", Value::rates},
       {"bw_in", Value::rate},
       {"bw_out", Value::rate},
       {"lat", Value::delay},
       {"coordinates", Value::text}}}},
    {"route", {kZones, with(kEnds, {{"symmetrical", Value::yes_no}})}},
    {"zoneRoute", {kZones, with(kGateways, {{"symmetrical", Value::yes_no}})}},
    {"ASroute", {kZones, with(kGateways, {{"symmetrical", Value::yes_no}})}},
    {"bypassRoute", {kZones, kEnds}},
    {"bypassZoneRoute", {kZones, kGateways}},
    {"bypassASroute", {kZones, kGateways}},
    {"link_ctn", {kRoutes, {{"id", Value::text}, {"direction", Value::direction}}}}};

// What they hold tells nothing of the network.
const std::set<std::string_view> kLeftOut{"prop", "disk", "storage", "storage_type", "mount"};

const std::map<std::string_view, std::string_view> kWhyNot{
    {"config",
     "SimGrid's own settings are not used; remove the element (what software costs is the cluster "
     "file's network.efficiency and network.overhead)"},
    {"include", "a platform is one file; put the included text in its place"},
    {"trace", "profiles over time are not read; the cluster file has link_events and stragglers"},
    {"trace_connect",
     "profiles over time are not read; the cluster file has link_events and stragglers"},
    {"random", "random values are not read"},
    {"actor", "actors are a deployment's, not a platform's; remove them"},
    {"process", "actors are a deployment's, not a platform's; remove them"}};
const std::set<std::string_view> kProfiles{"availability_file", "speed_file", "state_file",
                                           "bandwidth_file", "latency_file"};

bool number_of(std::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) value = HUGE_VAL;
  return error != std::errc::invalid_argument;
}

// A speed may be a list, one for each state of the processor, in some of which it stands still. What
// is no number, and units, are SimGrid's to refuse.
bool good_rates(std::string_view values, bool zero_allowed) {
  for (;;) {
    const std::size_t comma = values.find(',');
    double value = 1;
    number_of(trimmed(values.substr(0, comma)), value);
    if (!std::isfinite(value) || value < 0 || (value == 0 && !zero_allowed)) return false;
    if (comma == values.npos) return true;
    zero_allowed = true;
    values.remove_prefix(comma + 1);
  }
}

class Platform {
 public:
  explicit Platform(const std::string& file) : file_(file) {}

  // Copies what is known of `from` and below into `into`.
  void copy(const pugi::xml_node& from, pugi::xml_node into, std::size_t depth) {
    constexpr std::size_t kDeepest = 32;
    if (depth > kDeepest) fail(from, fmt::format("is more than {} elements deep", kDeepest));
    for (const pugi::xml_node& node : from) {
      if (node.type() != pugi::node_element)
        fail(from, fmt::format("unexpected text '{}'", trimmed(node.value())));
      if (kLeftOut.contains(node.name())) continue;
      const Element& element = element_of(node, from.name());
      pugi::xml_node copied = into.append_child(node.name());
      for (const pugi::xml_attribute& attribute : node.attributes())
        if (check(node, element, attribute)) copied.append_copy(attribute);
      count_hosts(node);
      check_route(node, from);
      copy(node, copied, depth + 1);
    }
  }

 private:
  [[noreturn]] void fail(const pugi::xml_node& node, const std::string& message) const {
    std::string name = node.name();
    if (const char* id = node.attribute("id").value(); *id != '\0')
      name += fmt::format(" '{}'", id);
    else if (const char* source = node.attribute("src").value(); *source != '\0')
      name += fmt::format(" {}-{}", source, node.attribute("dst").value());
    throw InputError(fmt::format("{}: {}{}{}", file_, name, name.empty() ? "" : ": ", message));
  }

  const Element& element_of(const pugi::xml_node& node, const std::string& parent) const {
    const auto found = kElements.find(node.name());
    if (found != kElements.end() &&
        std::count(found->second.inside.begin(), found->second.inside.end(), parent) > 0)
      return found->second;
    if (const auto why = kWhyNot.find(node.name()); why != kWhyNot.end()) {
      std::string settings;
      for (const pugi::xml_node& prop : node.children("prop"))
        settings +=
            fmt::format("{}'{}'", settings.empty() ? " of " : ", ", prop.attribute("id").value());
      throw InputError(fmt::format("{}: <{}>{}: {}", file_, node.name(), settings, why->second));
    }
    std::vector<std::string> allowed;
    for (const auto& [name, element] : kElements)
      if (std::count(element.inside.begin(), element.inside.end(), parent) > 0)
        allowed.push_back(name);
    fail(node.parent(),
         fmt::format("unexpected element <{}>; allowed here: {}", node.name(),
                     allowed.empty() ? "nothing" : fmt::format("{}", fmt::join(allowed, ", "))));
  }

  // False for what is left out.
  bool check(const pugi::xml_node& node, const Element& element,
             const pugi::xml_attribute& attribute) const {
    const std::string_view name = attribute.name(), value = attribute.value();
    if (kProfiles.contains(name)) {
      if (value.empty()) return false;
      fail(node, fmt::format("{} '{}': profiles over time are not read; the cluster file has "
                             "link_events and stragglers",
                             name, value));
    }
    const auto found = element.attributes.find(name);
    if (found == element.attributes.end()) {
      std::vector<std::string> allowed;
      for (const auto& [known, kind] : element.attributes) allowed.emplace_back(known);
      fail(node, unknown_name("attribute", name, allowed));
    }
    check_value(node, name, found->second, value);
    return true;
  }

  void check_value(const pugi::xml_node& node, std::string_view name, Value kind,
                   std::string_view value) const {
    if (const auto words = kWords.find(kind); words != kWords.end()) {
      if (std::count(words->second.begin(), words->second.end(), value) == 0)
        fail(node,
             fmt::format("{} '{}': expected {}", name, value, fmt::join(words->second, ", ")));
    } else if (kind == Value::sizes) {
      check_sizes(node, name, value);
    } else if (kind == Value::rate || kind == Value::rates || kind == Value::delay) {
      const bool delay = kind == Value::delay;
      if (!good_rates(value, delay))
        fail(node, fmt::format("{} '{}' must be {} and finite", name, value,
                               delay ? "zero or more" : "greater than zero"));
    }
  }

  // "3,4 ; 3,2 ; 3,1 ; 2": each one multiplies what is built.
  void check_sizes(const pugi::xml_node& node, std::string_view name,
                   std::string_view value) const {
    constexpr double kMost = 4096;
    double product = 1;
    for (std::size_t at = 0; at < value.size();) {
      const std::size_t end = std::min(value.find_first_of(",; \t\r\n", at), value.size());
      double size = 1;
      number_of(value.substr(at, end - at), size);
      product *= std::max(1.0, size);
      at = end + 1;
    }
    if (!(product <= kMost * kMost))
      fail(node,
           fmt::format("{} '{}': more switches and links than a table can hold", name, value));
  }

  void count_hosts(const pugi::xml_node& node) {
    const std::string_view name = node.name();
    if (name == "host" || name == "peer") ++hosts_;
    if (name == "cluster" || name == "cabinet")
      for (std::string_view rest = node.attribute("radical").value(); !rest.empty();) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        const std::string_view range = rest.substr(0, comma);
        const std::size_t dash = range.find('-');
        double first = 0, last = 0;
        if (!number_of(trimmed(range.substr(0, dash)), first) ||
            (dash != range.npos && !number_of(trimmed(range.substr(dash + 1)), last)))
          fail(node, fmt::format("radical '{}': expected numbers and ranges, 0-3,7",
                                 node.attribute("radical").value()));
        hosts_ += dash == range.npos ? 1 : std::max(0.0, last - first + 1);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
    if (!(hosts_ <= kMostXmlHosts))
      throw InputError(fmt::format("{}: {} hosts or more; a platform file may have {} at most",
                                   file_, hosts_, kMostXmlHosts));
  }

  void check_route(const pugi::xml_node& node, const pugi::xml_node& zone) {
    const std::string name = node.name();
    if (std::count(kRoutes.begin(), kRoutes.end(), name) == 0) return;
    const bool bypass = name.starts_with("bypass");
    const std::string source = node.attribute("src").value(),
                      target = node.attribute("dst").value();
    const std::string_view symmetrical = node.attribute("symmetrical").value();
    auto& known = routes_[{zone.internal_object(), bypass}];
    bool twice = !known.insert({source, target}).second;
    const bool both = !bypass && symmetrical != "NO" && symmetrical != "no" && source != target;
    if (both && !twice) twice = !known.insert({target, source}).second;
    if (twice)
      throw InputError(fmt::format("{}: {} {}-{} is declared twice{}", file_, name, source, target,
                                   bypass ? ""
                                          : " (routes are symmetrical unless they say "
                                            "symmetrical=\"NO\")"));
  }

  const std::string& file_;
  double hosts_ = 0;
  std::map<std::pair<const void*, bool>, std::set<std::pair<std::string, std::string>>> routes_;
};

}  // namespace

std::string checked_platform(std::string_view xml, const std::string& file) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size());
  if (!parsed) {
    const auto before =
        xml.substr(0, std::min<std::size_t>(static_cast<std::size_t>(parsed.offset), xml.size()));
    throw InputError(fmt::format("{}:{}: is not XML: {}", file,
                                 std::count(before.begin(), before.end(), '\n') + 1,
                                 parsed.description()));
  }
  pugi::xml_document checked;
  Platform(file).copy(document, checked, 0);
  std::ostringstream text;
  text << "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM "
          "\"https://simgrid.org/simgrid.dtd\">\n";
  checked.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return std::move(text).str();
}

}  // namespace paceline
