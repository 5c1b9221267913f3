#pragma once

#include <memory>

#include "kernels/cuda/context.hpp"
#include "kernels/shapes.hpp"

namespace paceline::cuda {

using Forward = kernels::ForwardPass<float>;
using Backward = kernels::BackwardPass<float>;

inline unsigned whole(std::size_t n) {
  return static_cast<unsigned>(n);
}
inline unsigned blocks_of(std::size_t n, unsigned threads) {
  return static_cast<unsigned>((n + threads - 1) / threads);
}

/// sums[channel] = sum over outer and inner of x[outer][channel][inner].
void channel_sums(Context& context, const float* x, std::size_t outer, std::size_t channels,
                  std::size_t inner, float* sums);

/// y[outer][channel][inner] += bias[channel], n elements in all.
void add_bias(Context& context, const float* bias, std::size_t channels, std::size_t inner,
              std::size_t n, float* y);

}  // namespace paceline::cuda
