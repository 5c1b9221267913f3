#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "sim/network/simgrid/module.hpp"
#include "sim/network/simgrid/shim.hpp"
#include "sim/network/xml_platform.hpp"

namespace paceline {
namespace {

namespace s4u = simgrid_shim::s4u;

// h2 before h10.
bool natural_less(const std::string& a, const std::string& b) {
  std::size_t i = 0, j = 0;
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      std::size_t i_end = i, j_end = j;
      while (i_end < a.size() && digit(a[i_end])) ++i_end;
      while (j_end < b.size() && digit(b[j_end])) ++j_end;
      const std::string x = a.substr(i, i_end - i), y = b.substr(j, j_end - j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      i = i_end;
      j = j_end;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

void check_link(const s4u::Link& link) {
  const double bandwidth = link.get_bandwidth(), latency = link.get_latency();
  if (!(bandwidth > 0) || std::isinf(bandwidth) || !(latency >= 0) || std::isinf(latency))
    throw InputError(
        fmt::format("link '{}': bandwidth and latency must be finite, and the former greater than "
                    "zero; found {} B/s and {} s",
                    link.get_name(), bandwidth, latency));
}

// The links of a route that messages share; the others have to be wider.
std::vector<const s4u::Link*> shared_links(const std::vector<s4u::Link*>& links) {
  std::vector<const s4u::Link*> shared;
  double narrowest = std::numeric_limits<double>::infinity();
  for (const s4u::Link* link : links)
    if (link->get_sharing_policy() != s4u::Link::SharingPolicy::FATPIPE) {
      shared.push_back(link);
      narrowest = std::min(narrowest, link->get_bandwidth());
    }
  for (const s4u::Link* link : links)
    if (link->get_sharing_policy() == s4u::Link::SharingPolicy::FATPIPE &&
        link->get_bandwidth() < narrowest)
      throw InputError(
          fmt::format("FATPIPE link '{}' is the narrowest of its route, which is not supported",
                      link->get_name()));
  return shared;
}

}  // namespace

Json simgrid_module::describe_platform(const std::string& file) {
  xbt_log_control_set("root.thresh:critical");
  const simgrid_shim::SignalsKept signals;
  s4u::Engine engine("paceline");
  signals.give_back();
  engine.load_platform(file);
  engine.seal_platform();
  std::vector<s4u::Host*> hosts = engine.get_all_hosts();
  std::sort(hosts.begin(), hosts.end(), [](const s4u::Host* a, const s4u::Host* b) {
    return natural_less(a->get_name(), b->get_name());
  });
  if (hosts.size() > kMostXmlHosts)
    throw InputError(
        fmt::format("{} hosts; a platform file may have {} at most", hosts.size(), kMostXmlHosts));
  Json names = Json::array(), links = Json::array(), routes = Json::array();
  std::map<const s4u::Link*, std::size_t> index;
  for (const s4u::Host* host : hosts) names.push_back(host->get_name());
  for (const s4u::Host* from : hosts)
    for (const s4u::Host* to : hosts) {
      Json& route = routes.emplace_back(Json::array());
      if (from == to) continue;
      std::vector<s4u::Link*> way;
      double latency = 0;
      from->route_to(to, way, &latency);
      if (way.empty())
        throw InputError(
            fmt::format("no route from '{}' to '{}'", from->get_name(), to->get_name()));
      route.push_back(latency);
      for (const s4u::Link* link : shared_links(way)) {
        const auto [it, fresh] = index.try_emplace(link, index.size());
        if (fresh) {
          check_link(*link);
          links.push_back({link->get_name(), link->get_bandwidth(), link->get_latency()});
        }
        route.push_back(it->second);
      }
    }
  return {{"hosts", names}, {"links", links}, {"routes", routes}};
}

}  // namespace paceline
