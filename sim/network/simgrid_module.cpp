#include "base/json.hpp"
#include "base/module.hpp"
#include "sim/network/network.hpp"
#include "sim/network/simgrid/module.hpp"

namespace paceline {
namespace {

const simgrid_module::Functions& functions() {
  static const ModuleInfo module{"simgrid",
                                 "PACELINE_SIMGRID_MODULE",
                                 PACELINE_MODULES,
                                 PACELINE_ABI,
                                 "SimGrid",
                                 "`--fidelity closed` needs none",
                                 "SimGrid (libsimgrid) must be installed"};
  static const auto* found =
      static_cast<const simgrid_module::Functions*>(module_symbol(module, "paceline_simgrid"));
  return *found;
}

}  // namespace

std::unique_ptr<FluidNetwork> make_simgrid_network(const Cluster& cluster, Clock& clock) {
  return functions().network(cluster, clock);
}

Json describe_simgrid_platform(const std::string& file) {
  return functions().platform(file);
}

}  // namespace paceline
