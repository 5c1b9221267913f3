#pragma once

#include <functional>
#include <vector>

#include "tests/sim/in_child.hpp"
#include "tests/sim/scenario.hpp"

namespace paceline {

/// What `work` returns when its Wires are carried by SimGrid, in a process of its own; the flat
/// network has to give the same to 1e-6 (the sizes here are too small for SimGrid to be nearer).
inline std::vector<double> on_both_networks(const std::function<std::vector<double>()>& work) {
  const auto on = [&](NetworkEngine engine) {
    return in_child([&] {
      wires_use = engine;
      return work();
    });
  };
  const std::vector<double> reference = on(NetworkEngine::simgrid), flat = on(NetworkEngine::flat);
  EXPECT_EQ(flat.size(), reference.size());
  for (std::size_t i = 0; i < std::min(flat.size(), reference.size()); ++i)
    EXPECT_TRUE(close_to(flat[i], reference[i], 1e-6)) << "flat network, value " << i;
  return reference;
}

}  // namespace paceline
