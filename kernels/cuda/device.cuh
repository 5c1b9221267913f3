#pragma once

// What the kernels' sources are written against: CUDA when nvcc compiles them, and a block-by-block
// run on the CPU (host_emulation.hpp) when g++ does, so that the tests can check their logic on a
// machine without a GPU. Collectives always take full warps, and shared memory is one struct per
// kernel.

#ifdef __CUDACC__
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#define PACELINE_KERNEL static __global__
#define PACELINE_SHARED(Type, name) __shared__ Type name
#define PACELINE_UNROLL _Pragma("unroll")
#define PACELINE_NO_UNROLL _Pragma("unroll 1")

namespace paceline::cuda {
__device__ inline void grid_barrier() {
  cooperative_groups::this_grid().sync();
}
}  // namespace paceline::cuda
#else
#include "host_emulation.hpp"
#endif

#include <cstddef>
#include <cstdint>

namespace paceline::cuda {

constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline unsigned lane_index() {
  return threadIdx.x & 31u;
}
__device__ inline unsigned warp_in_block() {
  return threadIdx.x >> 5;
}
__device__ inline unsigned lanes_below() {
  return (1u << lane_index()) - 1u;
}

/// Sum over the warp, in every lane. The order is fixed: the same bits every run.
template <class T>
__device__ inline T warp_sum(T value) {
  for (int offset = 16; offset > 0; offset >>= 1) {
    value += __shfl_xor_sync(all_lanes, value, offset);
  }
  return value;
}

/// Sum of the lanes up to and with this one.
template <class T>
__device__ inline T warp_inclusive_scan(T value) {
  for (unsigned offset = 1; offset < 32; offset <<= 1) {
    const T below = __shfl_up_sync(all_lanes, value, offset);
    if (lane_index() >= offset) value += below;
  }
  return value;
}

/// Scratch of block_exclusive_scan and block_sum: one entry per warp.
template <class T>
struct BlockScratch {
  T warps[33];
};

/// Sum of `value` over the threads before this one; `total` gets the sum over the block. All
/// threads of a one-dimensional block of at most 32 warps call it. May be called again at once with
/// the same scratch.
template <class T>
__device__ inline T block_exclusive_scan(T value, T& total, BlockScratch<T>& scratch) {
  const T inclusive = warp_inclusive_scan(value);
  const unsigned warps = (blockDim.x + 31u) / 32u;
  if (lane_index() == 31) scratch.warps[warp_in_block()] = inclusive;
  __syncthreads();
  if (warp_in_block() == 0) {
    const T mine = lane_index() < warps ? scratch.warps[lane_index()] : T(0);
    const T scanned = warp_inclusive_scan(mine);
    scratch.warps[lane_index()] = scanned - mine;
    if (lane_index() == 31) scratch.warps[32] = scanned;
  }
  __syncthreads();
  const T result = scratch.warps[warp_in_block()] + inclusive - value;
  total = scratch.warps[32];
  __syncthreads();
  return result;
}

/// Sum over the block, in every thread, in a fixed order.
template <class T>
__device__ inline T block_sum(T value, BlockScratch<T>& scratch) {
  value = warp_sum(value);
  const unsigned warps = (blockDim.x + 31u) / 32u;
  if (lane_index() == 0) scratch.warps[warp_in_block()] = value;
  __syncthreads();
  if (warp_in_block() == 0) {
    const T sum = warp_sum(lane_index() < warps ? scratch.warps[lane_index()] : T(0));
    if (lane_index() == 0) scratch.warps[32] = sum;
  }
  __syncthreads();
  const T result = scratch.warps[32];
  __syncthreads();
  return result;
}

}  // namespace paceline::cuda
