#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <vector>

#include "base/error.hpp"
#include "sim/network/simgrid/module.hpp"
#include "sim/network/simgrid/shim.hpp"

namespace paceline {
namespace {

namespace s4u = simgrid_shim::s4u;

constexpr std::size_t kMostHosts = 512;  // the table holds every pair

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

// Of a file that another one includes.
void check_link(const s4u::Link& link) {
  const double bandwidth = link.get_bandwidth(), latency = link.get_latency();
  if (!(bandwidth > 0) || std::isinf(bandwidth) || !(latency >= 0) || std::isinf(latency))
    throw InputError(
        fmt::format("link '{}': bandwidth and latency must be finite, and the former greater than "
                    "zero; found {} B/s and {} s",
                    link.get_name(), bandwidth, latency));
}

}  // namespace

std::string simgrid_module::describe_platform(const std::string& file) {
  xbt_log_control_set("root.thresh:critical");
  s4u::Engine engine("paceline");
  engine.load_platform(file);
  engine.seal_platform();
  std::vector<s4u::Host*> hosts = engine.get_all_hosts();
  std::sort(hosts.begin(), hosts.end(), [](const s4u::Host* a, const s4u::Host* b) {
    return natural_less(a->get_name(), b->get_name());
  });
  if (hosts.size() > kMostHosts)
    throw InputError(
        fmt::format("{} hosts; a platform file may have {} at most", hosts.size(), kMostHosts));
  std::ostringstream out;
  out.precision(17);
  std::map<const s4u::Link*, std::size_t> index;
  for (const s4u::Host* host : hosts) out << "host " << host->get_name() << '\n';
  for (std::size_t from = 0; from < hosts.size(); ++from)
    for (std::size_t to = 0; to < hosts.size(); ++to) {
      if (from == to) continue;
      std::vector<s4u::Link*> links;
      double latency = 0;
      hosts[from]->route_to(hosts[to], links, &latency);
      if (links.empty())
        throw InputError(fmt::format("no route from '{}' to '{}'", hosts[from]->get_name(),
                                     hosts[to]->get_name()));
      double narrowest = std::numeric_limits<double>::infinity();
      for (const s4u::Link* link : links)
        if (link->get_sharing_policy() != s4u::Link::SharingPolicy::FATPIPE)
          narrowest = std::min(narrowest, link->get_bandwidth());
      out << "route " << from << ' ' << to << ' ' << latency;
      for (const s4u::Link* link : links) {
        if (link->get_sharing_policy() == s4u::Link::SharingPolicy::FATPIPE) {
          // Nobody shares it: it matters only if it is the narrowest.
          if (link->get_bandwidth() < narrowest)
            throw InputError(fmt::format(
                "FATPIPE link '{}' is the narrowest of its route, which is not supported",
                link->get_name()));
          continue;
        }
        const auto [it, fresh] = index.try_emplace(link, index.size());
        if (fresh) check_link(*link);
        if (fresh)
          out << " new " << link->get_name() << ' ' << link->get_bandwidth() << ' '
              << link->get_latency();
        else
          out << ' ' << it->second;
      }
      out << '\n';
    }
  return out.str();
}

}  // namespace paceline
