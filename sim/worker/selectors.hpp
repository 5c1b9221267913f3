#pragma once

#include "algorithms/model_shape.hpp"
#include "calibrate/profile/operation_costs.hpp"

namespace paceline {

/// The cost model of what a schedule selects with; the two enums are in folders that may not see
/// each other.
TopKModel top_k_model(Selector selector);
/// The inverse.
Selector selector_of(TopKModel model);

}  // namespace paceline
