#pragma once

#include <cstddef>
#include <vector>

#include "calibrate/profile/step_costs.hpp"

namespace paceline {

struct CostsByTensor {
  std::vector<TensorCost> tensors;          ///< forward order
  std::vector<std::size_t> backward_order;  ///< indices into `tensors`
};

/// Books the seconds of each of model.operations() on its tensors by the rule of StepCosts.
/// `backward[i]` is the time of both backward passes of operation i; it counts only if the
/// operation has a backward pass. Throws InputError if the model has no parameters.
CostsByTensor costs_by_tensor(const Model& model, const std::vector<double>& forward,
                              const std::vector<double>& backward);

}  // namespace paceline
