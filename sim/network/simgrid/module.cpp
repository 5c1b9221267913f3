#include "sim/network/simgrid/module.hpp"

// What sim/network/simgrid_module.cpp looks up.
extern "C" {

__attribute__((visibility("default"))) const char* paceline_simgrid_abi() {
  return PACELINE_ABI;
}

__attribute__((
    visibility("default"))) extern const paceline::simgrid_module::Functions paceline_simgrid;
const paceline::simgrid_module::Functions paceline_simgrid{
    paceline::simgrid_module::make_network, paceline::simgrid_module::describe_platform};

}  // extern "C"
