#pragma once

// What PowerSGD needs beside matrix products (kernels/low_rank.hpp).

#include "kernels/cuda/device.cuh"

namespace paceline::cuda {

constexpr unsigned orthonormalize_threads = 1024;
/// Modified Gram-Schmidt over the columns of p [rows, rank], as kernels/low_rank.hpp says. One
/// block: the rank is a handful, and the matrix fits the L2.
PACELINE_KERNEL void __launch_bounds__(orthonormalize_threads)
    orthonormalize_kernel(std::size_t rows, std::size_t rank, float* p) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const auto dot = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads) {
      sum += static_cast<double>(p[i * rank + a]) * p[i * rank + b];
    }
    return block_sum(sum, scratch);
  };
  // A thread reads and writes its own rows only, so no barrier is due between the columns.
  for (std::size_t j = 0; j < rank; ++j) {
    const double before = sqrt(dot(j, j));
    for (std::size_t earlier = 0; earlier < j; ++earlier) {
      const auto overlap = static_cast<float>(dot(earlier, j));
      for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads) {
        p[i * rank + j] -= overlap * p[i * rank + earlier];
      }
    }
    const double norm = sqrt(dot(j, j));
    const auto inverse = static_cast<float>(norm > 1e-6 * before ? 1 / norm : 0.0);
    for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads)
      p[i * rank + j] *= inverse;
  }
}

}  // namespace paceline::cuda
