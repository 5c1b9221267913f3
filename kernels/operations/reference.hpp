#pragma once

#include "kernels/operations/call.hpp"

namespace paceline::kernels::reference {

/// The plain loop on the host. Throws std::logic_error for vectors of other numbers or lengths.
void apply(const PointwiseCall& call, Inputs in, Outputs out);

/// The same with its vectors one by one: apply(Scale{2}, {x}, {y}).
template <Pointwise Op>
void apply(const Op& op, std::initializer_list<std::span<const float>> in,
           std::initializer_list<std::span<float>> out) {
  apply(PointwiseCall(op), Inputs(in.begin(), in.size()), Outputs(out.begin(), out.size()));
}

}  // namespace paceline::kernels::reference
