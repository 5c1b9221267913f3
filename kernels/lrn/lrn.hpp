#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// Local response normalisation across channels (Krizhevsky et al., 2012): with d_c = k +
/// alpha/size * the sum of x^2 over the `size` channels around c, y_c = x_c * d_c^-beta; dx_c =
/// dy_c * d_c^-beta - 2 alpha beta/size * x_c * the sum of dy*y/d over the same neighbourhood.
template <class T>
std::unique_ptr<BasicLayer<T>> make_lrn(const LrnShape& shape);

}  // namespace paceline::kernels
