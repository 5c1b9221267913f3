#include "sim/network/engine.hpp"

#include "sim/network/flat/network.hpp"
#include "sim/network/network.hpp"

namespace paceline {

const char* to_string(NetworkEngine engine) {
  return network_engine_names()[static_cast<std::size_t>(engine)].c_str();
}

const std::vector<std::string>& network_engine_names() {
  static const std::vector<std::string> names{"auto", "flat", "simgrid"};
  return names;
}

NetworkEngine chosen(NetworkEngine engine) {
  return engine == NetworkEngine::automatic ? NetworkEngine::flat : engine;
}

std::unique_ptr<FluidNetwork> make_network(NetworkEngine engine, const Cluster& cluster,
                                           Clock& clock) {
  if (chosen(engine) == NetworkEngine::simgrid) return make_simgrid_network(cluster, clock);
  return std::make_unique<FlatNetwork>(cluster, clock);
}

}  // namespace paceline
