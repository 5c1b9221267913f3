#pragma once

#include <memory>
#include <string>

#include "sim/network/network.hpp"

// What libpaceline_simgrid.so gives to the program, which links no SimGrid: its loader takes longer
// than a closed-form answer.
namespace paceline::simgrid_module {

std::unique_ptr<FluidNetwork> make_network(const Cluster& cluster, Clock& clock);
/// The platform of a SimGrid XML file as text, one fact per line. Only in a process of its own:
/// SimGrid has one engine, and ends the process for what it refuses. Throws InputError.
std::string describe_platform(const std::string& file);

/// What `paceline_simgrid` is, in the module.
struct Functions {
  decltype(&make_network) network;
  decltype(&describe_platform) platform;
};

}  // namespace paceline::simgrid_module
