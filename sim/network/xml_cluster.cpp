#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/isolated.hpp"
#include "sim/network/network.hpp"
#include "sim/network/xml_check.hpp"

namespace paceline {
namespace {

struct Table {
  std::vector<std::string> hosts;
  std::vector<Link> links;
  std::vector<Route> routes;  // [from * hosts + to]
};

// In a process of its own: SimGrid has one engine, and ends the process for what it refuses.
std::string described(const std::string& file) {
  check_platform_values(read_file(file, "a SimGrid platform file"), file);
  const auto describe = [&file]() -> Json {
    try {
      return describe_simgrid_platform(file);
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
