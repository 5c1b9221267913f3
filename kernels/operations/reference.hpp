#pragma once

#include <initializer_list>

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

/// Op{} of PointwiseList.
PointwiseCall example(std::size_t index);
/// The same applied for measuring and testing, to vectors of one length: it reads the first ones;
/// what it writes under the name of an input is in place, else in the next vector, or over the
/// second one where there is none.
void apply_example(Backend& on, std::size_t index, Outputs vectors);

/// In double, eight interleaved partial sums added in a fixed order.
double sum_of_squares(std::span<const float> x);
/// Scales x so that its 2-norm is at most `limit`; returns the norm it had. A NaN or infinite norm
/// leaves x alone: the caller sees it in the result.
double clip_norm(double limit, std::span<float> x);

}  // namespace paceline::kernels::reference
