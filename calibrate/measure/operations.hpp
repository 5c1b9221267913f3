#pragma once

#include "base/json.hpp"
#include "calibrate/profile/profile.hpp"
#include "kernels/backend.hpp"

namespace paceline {

/// Cost models of a CPU's operations and its ceilings, measured; `record` gets the points and the
/// residuals of the fits. `update_s`: seconds of one SGD update with momentum of `elements`
/// parameters as it follows a training step, from which the memory bandwidth is taken.
struct MeasuredOperations {
  OperationModel operations;
  Ceilings ceilings;
  Json record = Json::object();
};
MeasuredOperations measure_operations(kernels::Backend& backend, std::size_t elements,
                                      double update_s);

}  // namespace paceline
