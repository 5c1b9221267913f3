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

/// One layer each, without the name that make_layer (backend.hpp) gives its errors.
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::Conv2dShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::DenseShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::BatchNormShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::LayerNormShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::LrnShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::PointwiseShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::PoolShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::AddShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::ConcatShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::ReshapeShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::SubsamplePadShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::DropoutShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::EmbeddingShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::SoftmaxLossShape& shape);
std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::LstmShape& shape);

}  // namespace paceline::cuda
