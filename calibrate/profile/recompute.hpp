#pragma once

#include "calibrate/profile/step_costs.hpp"
#include "models/activation_memory.hpp"

namespace paceline {

/// The forward pass of a block again, before the first gradient of the block. Throws InputError if
/// the model has no blocks.
void add_recompute(StepCosts& costs, const Model& model, Recompute recompute);

}  // namespace paceline
