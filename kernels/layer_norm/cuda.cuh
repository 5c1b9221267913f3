#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

// Layer normalisation: a block per row

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_kernel(const float* x, std::size_t features, double epsilon, const float* scale,
                      const float* shift, float* mean, float* inverse, float* y) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const float* row = x + blockIdx.x * features;
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) sum += row[i];
  const double m = block_sum(sum, scratch) / static_cast<double>(features);
  double square = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads)
    square += (row[i] - m) * (row[i] - m);
  const double variance = block_sum(square, scratch) / static_cast<double>(features);
  const auto inv = static_cast<float>(1.0 / sqrt(variance + epsilon));
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    y[blockIdx.x * features + i] = (row[i] - static_cast<float>(m)) * inv * scale[i] + shift[i];
  }
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = static_cast<float>(m);
    inverse[blockIdx.x] = inv;
  }
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_input_gradient_kernel(const float* x, const float* dy, std::size_t features,
                                     const float* scale, const float* mean, const float* inverse,
                                     float* dx) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t base = blockIdx.x * features;
  const float m = mean[blockIdx.x];
  const float inv = inverse[blockIdx.x];
  double sum = 0;
  double product = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    const float d = dy[base + i] * scale[i];
    sum += d;
    product += d * ((x[base + i] - m) * inv);
  }
  const auto mean_d = static_cast<float>(block_sum(sum, scratch) / static_cast<double>(features));
  const auto mean_product =
      static_cast<float>(block_sum(product, scratch) / static_cast<double>(features));
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    const float normalised = (x[base + i] - m) * inv;
    dx[base + i] = inv * (dy[base + i] * scale[i] - mean_d - normalised * mean_product);
  }
}

struct TwoColumnScratch {
  float scale[8][33];
  float shift[8][33];
};
/// A block per 32 features: d_scale = sum over rows of dy * x^, d_shift = sum of dy.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_parameter_gradients_kernel(const float* x, const float* dy, std::size_t rows,
                                          std::size_t features, const float* mean,
                                          const float* inverse, float* d_scale, float* d_shift) {
  PACELINE_SHARED(TwoColumnScratch, s);
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * 32 + lane_index();
  float scale = 0;
  float shift = 0;
  if (column < features) {
    for (std::size_t row = warp_in_block(); row < rows; row += 8) {
      const float d = dy[row * features + column];
      shift += d;
      scale += d * ((x[row * features + column] - mean[row]) * inverse[row]);
    }
  }
  s.scale[warp_in_block()][lane_index()] = scale;
  s.shift[warp_in_block()][lane_index()] = shift;
  __syncthreads();
  if (warp_in_block() == 0 && column < features) {
    for (int w = 1; w < 8; ++w) {
      scale += s.scale[w][lane_index()];
      shift += s.shift[w][lane_index()];
    }
    d_scale[column] = scale;
    d_shift[column] = shift;
  }
}

}  // namespace paceline::cuda
