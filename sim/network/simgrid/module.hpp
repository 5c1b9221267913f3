#pragma once

#include <memory>
#include <string>

#include "base/json_fwd.hpp"
#include "sim/network/network.hpp"

// What libpaceline_simgrid.so gives to the program, which links no SimGrid: its loader takes longer
// than a closed-form answer.
namespace paceline::simgrid_module {

std::unique_ptr<FluidNetwork> make_network(const Cluster& cluster, Clock& clock);
/// The platform of a SimGrid XML file: {"hosts", "links": [name, bandwidth, latency]..., "routes":
/// [latency, link...] from each host to each}. Only in a process of its own: SimGrid has one
/// engine, and ends the process for what it refuses. Throws InputError.
Json describe_platform(const std::string& file);

/// What `paceline_simgrid` is, in the module.
struct Functions {
  decltype(&make_network) network;
  decltype(&describe_platform) platform;
};

}  // namespace paceline::simgrid_module
