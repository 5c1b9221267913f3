#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/overrides.hpp"
#include "platforms/shipped_files.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kClusters = "clusters/", kJson = ".json";

Json shipped_part(const std::string& path) {
  return parse_json(shipped_files().at(path), path);
}

std::optional<fs::path> data_folder() {
  const char* data = std::getenv("PACELINE_DATA");
  if (data == nullptr || *data == '\0') return std::nullopt;
  return fs::path(data) / "platforms" / "clusters";
}

/// The cluster "<machine>-<network>": nodes of the machine, the network, and the sources of both.
std::optional<Json> from_parts(const std::string& name) {
  const Json machines = shipped_part("parts/machines.json"),
             networks = shipped_part("parts/networks.json");
  for (const auto& [machine, nodes] : machines.items())
    for (const auto& [network, net] : networks.items()) {
      if (machine + '-' + network != name) continue;
      Json json{{"format", "paceline-cluster-1"}, {"name", name}};
      json["description"] = fmt::format("{}, {}", nodes.at("description").get<std::string>(),
                                        net.at("description").get<std::string>());
      json["sources"] = nodes.at("sources");
      json["sources"].update(net.at("sources"));
      json["nodes"] = nodes.at("nodes");
      json["network"] = net.at("network");
      return json;
    }
  return std::nullopt;
}

struct Found {
  Json json;
  std::string file;  // for messages
};

Found find_cluster(const std::string& name) {
  std::error_code ignored;
  if (name.find('/') != std::string::npos || name.ends_with(kJson) ||
      fs::is_regular_file(name, ignored))
    return {load_json(name), name};
  if (const auto folder = data_folder();
      folder && fs::exists(*folder / (name + ".json"), ignored)) {
    const fs::path file = *folder / (name + ".json");
    return {load_json(file), file.string()};
  }
  const auto shipped = shipped_files().find(fmt::format("{}{}{}", kClusters, name, kJson));
  if (shipped != shipped_files().end()) return {parse_json(shipped->second, name), name};
  if (auto json = from_parts(name)) return {std::move(*json), name};
  throw InputError(unknown_name("cluster", name, shipped_clusters()) +
                   " (or give the path of a cluster file)");
}

// Ports whose line rate every node brings itself do not listen to the network's.
void check_bandwidth_counts(const std::string& override, const Json& before, const Json& after,
                            const std::string& file) {
  std::optional<ClusterSpec> with, without;
  try {
    without = read_cluster(before, file);
    with = read_cluster(after, file);
  } catch (const InputError&) {
    return;  // together with other overrides it may be right, and if not that is said later
  }
  const bool own = std::any_of(with->nodes.begin(), with->nodes.end(),
                               [](const NodeGroup& group) { return group.nic.has_value(); });
  if (!own || with->network.bandwidth == without->network.bandwidth ||
      !with->network.topology.platform_file().empty())
    return;
  const Cluster one = make_cluster(*with), other = make_cluster(*without);
  for (std::size_t link = 0; link < one.links().size(); ++link)
    if (one.links()[link].bandwidth != other.links()[link].bandwidth) return;
  throw InputError(fmt::format(
      "--set {}: changes nothing, because every node has a 'nic' of its own: set nodes[*].nic",
      override));
}

}  // namespace

ClusterSpec load_cluster_spec(const std::string& name_or_path,
                              const std::vector<std::string>& overrides) {
  Found found = find_cluster(name_or_path);
  if (overrides.empty()) return read_cluster(found.json, found.file);
  // Read it as it stands first, so that what is wrong afterwards is the overrides' fault.
  (void)read_cluster(found.json, found.file);
  for (const std::string& override : overrides) {
    Json changed = found.json;
    apply_override(changed, override);
    if (override.starts_with("network.bandwidth="))
      check_bandwidth_counts(override, found.json, changed, found.file);
    found.json = std::move(changed);
  }
  try {
    ClusterSpec spec = read_cluster(found.json, found.file);
    spec.sources["overridden"] = fmt::format("{}", fmt::join(overrides, ", "));
    return spec;
  } catch (const InputError& error) {
    throw InputError(
        fmt::format("{} (after --set {})", error.what(), fmt::join(overrides, " --set ")));
  }
}

Cluster load_cluster(const std::string& name_or_path, const std::vector<std::string>& overrides) {
  return make_cluster(load_cluster_spec(name_or_path, overrides));
}

std::vector<std::string> shipped_clusters() {
  std::set<std::string> names;
  for (const auto& [path, text] : shipped_files())
    if (path.starts_with(kClusters))
      names.insert(path.substr(kClusters.size(), path.size() - kClusters.size() - kJson.size()));
  const Json machines = shipped_part("parts/machines.json"),
             networks = shipped_part("parts/networks.json");
  for (const auto& [machine, nodes] : machines.items())
    for (const auto& [network, net] : networks.items()) names.insert(machine + '-' + network);
  std::error_code ignored;
  if (const auto folder = data_folder())
    for (const fs::directory_entry& entry : fs::directory_iterator(*folder, ignored))
      if (entry.path().extension() == kJson) names.insert(entry.path().stem().string());
  return {names.begin(), names.end()};
}

}  // namespace paceline
