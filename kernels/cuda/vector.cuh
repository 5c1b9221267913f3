#pragma once

// Kernels over whole vectors: pointwise operations, sums, counts. Memory-bound: what counts is
// that each array is read or written once, 16 bytes at a time. Compiled without contraction to
// fused multiply-adds, so that the results have the reference's bits.

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/results.hpp"
#include "kernels/cuda/select_logic.hpp"

namespace paceline::cuda {

constexpr unsigned vector_threads = 256;

PACELINE_HOST_DEVICE inline bool aligned16(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) % 16 == 0;
}

template <int In, int Out>
struct Arrays {
  const float* in[In > 0 ? In : 1];
  float* out[Out];
};

__device__ inline float lane_of(const float4& v, int c) {
  return c == 0 ? v.x : c == 1 ? v.y : c == 2 ? v.z : v.w;
}

/// op(in[], out[]) for every element; an output may be the same memory as an input. `aligned`: all
/// pointers are multiples of 16 bytes.
template <class Op, int In, int Out>
__global__ void __launch_bounds__(vector_threads)
    pointwise_kernel(Op op, Arrays<In, Out> arrays, std::size_t n, bool aligned) {
  const std::size_t first = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  const std::size_t quads = aligned ? n / 4 : 0;
  for (std::size_t q = first; q < quads; q += step) {
    float4 in[In > 0 ? In : 1];
    float4 out[Out];
    PACELINE_UNROLL
    for (int a = 0; a < In; ++a) in[a] = reinterpret_cast<const float4*>(arrays.in[a])[q];
    PACELINE_UNROLL
    for (int c = 0; c < 4; ++c) {
      float x[In > 0 ? In : 1] = {};
      float y[Out];
      PACELINE_UNROLL
      for (int a = 0; a < In; ++a) x[a] = lane_of(in[a], c);
      op(x, y);
      PACELINE_UNROLL
      for (int a = 0; a < Out; ++a) {
        if (c == 0) out[a].x = y[a];
        if (c == 1) out[a].y = y[a];
        if (c == 2) out[a].z = y[a];
        if (c == 3) out[a].w = y[a];
      }
    }
    PACELINE_UNROLL
    for (int a = 0; a < Out; ++a) reinterpret_cast<float4*>(arrays.out[a])[q] = out[a];
  }
  for (std::size_t i = 4 * quads + first; i < n; i += step) {
    float x[In > 0 ? In : 1] = {};
    float y[Out];
    PACELINE_UNROLL
    for (int a = 0; a < In; ++a) x[a] = arrays.in[a][i];
    op(x, y);
    PACELINE_UNROLL
    for (int a = 0; a < Out; ++a) arrays.out[a][i] = y[a];
  }
}

__device__ inline std::size_t thread_in_grid() {
  return static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
}
__device__ inline std::size_t threads_in_grid() {
  return static_cast<std::size_t>(gridDim.x) * vector_threads;
}
/// Four elements, of which `here` exist; the others read as zero.
__device__ inline float4 load_quad(const float* x, std::size_t here, bool aligned) {
  if (aligned && here == 4) return *reinterpret_cast<const float4*>(x);
  return make_float4(x[0], here > 1 ? x[1] : 0.0f, here > 2 ? x[2] : 0.0f, here > 3 ? x[3] : 0.0f);
}

/// Blocks of a sum over n elements.
inline unsigned sum_blocks_of(std::size_t n) {
  const std::size_t wanted = (n + 16 * vector_threads - 1) / (16 * vector_threads);
  return wanted < 1 ? 1 : wanted < sum_blocks ? static_cast<unsigned>(wanted) : sum_blocks;
}

/// Sums of x and of its square, in double: partial[block]; sum_moments_kernel adds these up. A
/// thread takes the same elements in the same order wherever x begins.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    moments_kernel(const float* x, std::size_t n, Moments* partial) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const bool aligned = aligned16(x);
  double sum = 0;
  double square = 0;
  const auto add = [&](float value) {
    const double v = value;
    sum += v;
    square += v * v;
  };
  constexpr int depth = 4;  // 16-byte loads in flight per thread
  const std::size_t step = 4 * threads_in_grid();
  for (std::size_t first = 4 * thread_in_grid(); first < n; first += depth * step) {
    float4 loaded[depth];
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      const std::size_t i = first + static_cast<std::size_t>(j) * step;
      loaded[j] = i < n ? load_quad(x + i, min(n - i, std::size_t{4}), aligned)
                        : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      add(loaded[j].x);
      add(loaded[j].y);
      add(loaded[j].z);
      add(loaded[j].w);
    }
  }
  sum = block_sum(sum, scratch);
  square = block_sum(square, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = {sum, square};
}

/// One block of sum_blocks threads; total[0] gets the sum of partial[0, blocks).
PACELINE_KERNEL void sum_moments_kernel(const Moments* partial, unsigned blocks, Moments* total) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const bool mine = threadIdx.x < blocks;
  const double sum = block_sum(mine ? partial[threadIdx.x].sum : 0.0, scratch);
  const double square = block_sum(mine ? partial[threadIdx.x].square : 0.0, scratch);
  if (threadIdx.x == 0) *total = {sum, square};
}

/// counts[0] += elements whose magnitude reaches the key.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    count_kernel(const float* x, std::size_t n, std::uint32_t key, unsigned long long* count) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  std::uint32_t mine = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    mine += magnitude_key(__float_as_uint(x[i])) >= key ? 1u : 0u;
  }
  mine = block_sum(mine, scratch);
  if (threadIdx.x == 0 && mine != 0) atomicAdd(count, static_cast<unsigned long long>(mine));
}

}  // namespace paceline::cuda
