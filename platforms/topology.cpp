#include "platforms/topology.hpp"

#include <cmath>

#include "base/error.hpp"

namespace paceline {
namespace {

/// One switch that never blocks: only the ports limit.
class Star final : public Topology {
 public:
  [[nodiscard]] std::string switch_of(std::size_t) const override { return "switch"; }
  void append_route(std::size_t, std::size_t, Route&) const override {}
  [[nodiscard]] double bisection_bandwidth() const override { return kInfinity; }
};

}  // namespace

Lane LinkTable::add(std::string name, LinkKind kind, double bandwidth, double latency) {
  if (std::isinf(bandwidth)) return {Lane::kNoLink, latency};
  links_.push_back({std::move(name), kind, bandwidth, latency});
  return {static_cast<LinkId>(links_.size() - 1), latency};
}

std::unique_ptr<Topology> make_topology(const ClusterSpec& spec, LinkTable& table) {
  switch (spec.network.topology.kind) {
    case TopologyKind::star:
      return std::make_unique<Star>();
    case TopologyKind::fat_tree:
      return make_fat_tree(spec.network, spec.node_count(), table);
    case TopologyKind::torus:
      return make_torus(spec.network, spec.node_count(), table);
    case TopologyKind::dragonfly:
      return make_dragonfly(spec.network, table);
    case TopologyKind::xml:
      break;
  }
  throw InputError(spec.file + ": $.network.topology: a SimGrid XML platform ('" +
                   spec.network.topology.file +
                   "') is loaded by the simulator; it has no links and routes without it");
}

}  // namespace paceline
