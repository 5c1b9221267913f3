#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

template <class T>
std::unique_ptr<BasicLayer<T>> make_pointwise(const PointwiseShape& shape);

namespace reference {

/// relu max(x,0) (NaN stays NaN), tanh, sigmoid 1/(1+exp(-x)), gelu x*Phi(x). Transcendental
/// functions are taken in double and rounded once, so that fp32 results do not depend on the C
/// library.
template <class T>
T pointwise(PointwiseFunction function, T x);
/// dy/dx at x, where y = pointwise(function, x). relu: 0 at 0.
template <class T>
T pointwise_slope(PointwiseFunction function, T x, T y);

}  // namespace reference
}  // namespace paceline::kernels
