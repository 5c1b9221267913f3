#pragma once

#include <string>
#include <vector>

#include "base/object_reader.hpp"
#include "platforms/cluster.hpp"

namespace paceline {

/// Reads the JSON form, "format": "paceline-cluster-1". Its keys are the fields of spec.hpp,
/// quantities with units, except that
/// - "pcie" and "nvlink" may be a bandwidth alone ("12GB/s", "inf") instead of an object;
/// - "gpu" is a name of gpus.hpp or a card as gpu_file.hpp reads it;
/// - "host" is {"memory_bandwidth", "memory"}; "background" names its ends "gpuN" and "nodeN";
/// - what belongs to another topology, or to GPUs that a group does not have, is an unknown key.
/// Required: format, name, nodes (each gpus; gpu and pcie unless that is 0), network.bandwidth and
/// .latency. `file` stands in messages and is what a relative XML path is relative to. The result
/// is valid. Throws InputError.
ClusterSpec read_cluster(const Json& json, const std::string& file);

/// Puts the card into the nodes: by its name alone where the table says the same of it.
void set_card(NodeGroup& group, const GpuSpec& card);

/// The JSON form with every default written out; read_cluster of it gives an equal spec.
Json write_cluster(const ClusterSpec& spec);

/// {"distribution": "lognormal", "cv": 0.1}, of a cluster file and of an experiment.
Jitter read_jitter(ObjectReader reader);
Json write_jitter(const Jitter& jitter);

/// {"kind": "torus", "dimensions": [4, 4]}.
TopologySpec read_topology(ObjectReader reader);
Json write_topology(const TopologySpec& topology);

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
