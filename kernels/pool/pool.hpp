#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// Max: the largest element of the window (a NaN wins), padding left out; the gradient goes to the
/// first of equal ones. Average: the sum over the window divided by the elements inside the image,
/// or, with count_padding, inside image and padding (a window that ceil_mode lets hang over the
/// padding is cut).
template <class T>
std::unique_ptr<BasicLayer<T>> make_pool(const PoolShape& shape);

}  // namespace paceline::kernels
