#pragma once

// What all kernels of layers share. All arrays are plain row-major fp32, images [batch, channels,
// height, width]. Sums are taken in a fixed order everywhere (no floating-point atomics): the same
// bits every run.

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/results.hpp"
#include "kernels/cuda/vector.cuh"

namespace paceline::cuda {

constexpr unsigned layer_threads = 256;

__device__ inline std::size_t thread_number() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::size_t thread_total() {
  return static_cast<std::size_t>(gridDim.x) * blockDim.x;
}

/// y[outer][channel][inner] += bias[channel]
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    add_bias_kernel(const float* bias, std::size_t channels, std::size_t inner, std::size_t n,
                    float* y) {
  for (std::size_t i = thread_number(); i < n; i += thread_total())
    y[i] += bias[i / inner % channels];
}

/// sums[channel] = sum over outer and inner of x[outer][channel][inner]; a block per channel.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    channel_sums_kernel(const float* x, std::size_t outer, std::size_t channels, std::size_t inner,
                        float* sums) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t channel = blockIdx.x;
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < outer * inner; i += layer_threads) {
    sum += x[(i / inner * channels + channel) * inner + i % inner];
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[channel] = static_cast<float>(sum);
}

struct ColumnScratch {
  float sums[8][33];
};
/// sums[column] = sum over rows of x[row][column]; a block per 32 columns.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    column_sums_kernel(const float* x, std::size_t rows, std::size_t columns, float* sums) {
  PACELINE_SHARED(ColumnScratch, s);
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * 32 + lane_index();
  float sum = 0;
  if (column < columns) {
    for (std::size_t row = warp_in_block(); row < rows; row += 8) sum += x[row * columns + column];
  }
  s.sums[warp_in_block()][lane_index()] = sum;
  __syncthreads();
  if (warp_in_block() == 0 && column < columns) {
    for (int w = 1; w < 8; ++w) sum += s.sums[w][lane_index()];
    sums[column] = sum;
  }
}

}  // namespace paceline::cuda
