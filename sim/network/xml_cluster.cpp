#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/isolated.hpp"
#include "sim/network/network.hpp"
#include "sim/network/simgrid_shim.hpp"
#include "sim/network/xml_check.hpp"

namespace paceline {
namespace {

namespace s4u = simgrid_shim::s4u;

constexpr std::size_t kMostHosts = 512;  // the table holds every pair

struct Table {
  std::vector<std::string> hosts;
  std::vector<Link> links;
  std::vector<Route> routes;  // [from * hosts + to]
};

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

// Runs in the child: the platform as text, one fact per line.
std::string describe_platform(const std::string& file) {
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

// In a process of its own: SimGrid has one engine, and ends the process for what it refuses.
std::string described(const std::string& file) {
  check_platform_values(read_file(file, "a SimGrid platform file"), file);
  const auto describe = [&file]() -> Json {
    try {
      return describe_platform(file);
    } catch (const std::exception& error) {
      const std::string message = error.what();
      throw InputError(fmt::format("{}: {}", file, message.substr(0, message.find('\n'))));
    }
  };
  try {
    return run_isolated({describe}, 1).front().get<std::string>();
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    throw InputError(
        fmt::format("{}: SimGrid gave up on this platform file: {}", file, error.what()));
  }
}

Table parse(const std::string& text) {
  Table table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "host") {
      words >> word;
      table.hosts.push_back(word);
      continue;
    }
    table.routes.resize(table.hosts.size() * table.hosts.size());
    std::size_t from = 0, to = 0;
    words >> from >> to;
    Route& route = table.routes[from * table.hosts.size() + to];
    words >> route.latency;
    while (words >> word) {
      if (word == "new") {
        Link link;
        words >> link.name >> link.bandwidth >> link.latency;
        link.kind = LinkKind::fabric;
        route.links.push_back(static_cast<LinkId>(table.links.size()));
        table.links.push_back(std::move(link));
      } else {
        route.links.push_back(static_cast<LinkId>(std::stoul(word)));
      }
    }
  }
  return table;
}

}  // namespace

Cluster load_xml_cluster(const ClusterSpec& spec) {
  std::filesystem::path file = spec.network.topology.file;
  if (file.is_relative() && !std::filesystem::exists(file) && !spec.file.empty())
    file = std::filesystem::path(spec.file).parent_path() / file;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored))
    throw InputError(fmt::format("{}: $.network.topology.file: there is no file '{}'", spec.file,
                                 file.string()));
  auto table = std::make_shared<Table>(parse(described(file.string())));
  for (Link& link : table->links) link.bandwidth *= spec.network.efficiency;
  const std::size_t hosts = table->hosts.size();
  if (spec.node_count() != hosts || spec.gpu_count() != hosts)
    throw InputError(fmt::format(
        "{}: {} has {} hosts, one GPU each, but the cluster file describes {} nodes with {} GPUs",
        spec.file, file.string(), hosts, spec.node_count(), spec.gpu_count()));
  // A node's GPU and its host are the same machine of the platform.
  const auto route = [table, hosts, overhead = spec.network.overhead](Endpoint from, Endpoint to,
                                                                      Route& out) {
    const Route& found = table->routes[from % hosts * hosts + to % hosts];
    out.links = found.links;
    out.latency = found.links.empty() ? 0 : found.latency + overhead;
  };
  return Cluster(spec, table->links, route);
}

Cluster build_cluster(const ClusterSpec& spec) {
  return spec.network.topology.kind == TopologyKind::xml ? load_xml_cluster(spec)
                                                         : make_cluster(spec);
}

}  // namespace paceline
