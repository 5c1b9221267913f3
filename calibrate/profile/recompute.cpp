#include "calibrate/profile/recompute.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

void add_recompute(StepCosts& costs, const Model& model, Recompute recompute) {
  if (recompute == Recompute::none) return;
  const RecomputeBlocks blocks = recompute_blocks(model);
  if (blocks.count == 0)
    throw InputError(fmt::format(
        "recompute: model '{}' has no blocks, operations whose names have a number in common "
        "(\"layers.0.\"); expected none",
        model.name()));
  const auto block_of = [&](std::size_t tensor) {
    return blocks.of[model.tensors()[tensor].operations.front()];
  };
  std::vector<double> seconds(blocks.count, 0);
  for (std::size_t t = 0; t < costs.tensors.size(); ++t)
    if (block_of(t) != RecomputeBlocks::kNone) seconds[block_of(t)] += costs.tensors[t].forward_s;
  const std::vector<double> shares = recomputed_shares(model, blocks, recompute);
  for (const std::size_t t : costs.backward_order) {
    if (block_of(t) == RecomputeBlocks::kNone) continue;
    double& left = seconds[block_of(t)];
    costs.tensors[t].backward_s += left * shares[block_of(t)];
    left = 0;
  }
}

}  // namespace paceline
