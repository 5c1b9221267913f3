#pragma once

#include "kernels/cuda/checked_index.cuh"
#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

/// blockIdx.x = row.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_kernel(const float* tokens, const float* table, std::size_t entries,
                     std::size_t features, float* y, Fault* fault) {
  const std::size_t token = checked_index(tokens[blockIdx.x], entries, 1, fault);
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    y[blockIdx.x * features + i] = table[token * features + i];
  }
}

/// A block per row: the first row of a token adds up all rows of it, in order; the others do
/// nothing. The table's gradient is zero before.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_gradient_kernel(const float* tokens, const float* dy, std::size_t rows,
                              std::size_t entries, std::size_t features, float* d_table,
                              Fault* fault) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  const float token = tokens[blockIdx.x];
  std::uint32_t earlier = 0;
  for (std::size_t r = threadIdx.x; r < blockIdx.x; r += layer_threads)
    earlier += tokens[r] == token ? 1u : 0u;
  if (block_sum(earlier, scratch) > 0) return;
  float* row = d_table + checked_index(token, entries, 1, fault) * features;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    float sum = 0;
    for (std::size_t r = blockIdx.x; r < rows; ++r) {
      if (tokens[r] == token) sum += dy[r * features + i];
    }
    row[i] = sum;
  }
}

}  // namespace paceline::cuda
