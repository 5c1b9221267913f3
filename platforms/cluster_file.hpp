#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "platforms/cluster.hpp"

namespace paceline {

/// Reads the JSON form ("format": "paceline-cluster-1"; docs in platforms/README.md). `file` stands
/// in messages and is what a relative XML path is relative to. The result is valid. Throws
/// InputError.
ClusterSpec read_cluster(const Json& json, const std::string& file);

/// The JSON form with every default written out; read_cluster of it gives an equal spec.
Json write_cluster(const ClusterSpec& spec);

/// A shipped name or the path of a file; a file of that very name wins. Then
/// $PACELINE_DATA/platforms/clusters/NAME.json, then what is embedded in the library. `overrides`
/// are applied to the JSON before it is read (overrides.hpp). Throws InputError naming the nearest
/// name.
ClusterSpec load_cluster_spec(const std::string& name_or_path,
                              const std::vector<std::string>& overrides = {});
Cluster load_cluster(const std::string& name_or_path,
                     const std::vector<std::string>& overrides = {});

/// Every name load_cluster takes, sorted: whole files, <machine>-<network> of the parts, and the
/// files of $PACELINE_DATA.
std::vector<std::string> shipped_clusters();

}  // namespace paceline
