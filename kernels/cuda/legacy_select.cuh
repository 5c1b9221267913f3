#pragma once

// The selection as torch.topk made it before 2022.

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/select_logic.hpp"

namespace paceline::cuda {

constexpr unsigned legacy_threads = 1024;
struct LegacyScratch {
  std::uint32_t counts[4];
  BlockScratch<std::uint32_t> scan;
};

/// One block selects k of n as SortingRadixSelect.cuh of PyTorch 0.3 to 1.11 did: the k-th largest
/// key by two bits per pass over the whole vector, 16 passes, then one pass that writes what is
/// above it and one for its equals. It is here for its cost, which the papers' figures contain: one
/// multiprocessor sets the pace. 1 <= k <= n.
PACELINE_KERNEL void __launch_bounds__(legacy_threads)
    legacy_top_k_kernel(const float* x, std::uint32_t n, std::uint32_t k, std::int32_t* indices,
                        float* values) {
  PACELINE_SHARED(LegacyScratch, s);
  std::uint32_t desired = 0;
  std::uint32_t mask = 0;
  std::uint32_t wanted = k;
  for (int digit = 30; digit >= 0; digit -= 2) {
    if (threadIdx.x < 4) s.counts[threadIdx.x] = 0;
    __syncthreads();
    std::uint32_t counts[4] = {0, 0, 0, 0};
    for (std::uint32_t first = 0; first < n; first += legacy_threads) {
      const std::uint32_t i = first + threadIdx.x;
      const std::uint32_t key = i < n ? magnitude_key(__float_as_uint(x[i])) : 0u;
      const bool matches = i < n && (key & mask) == desired;
      PACELINE_UNROLL
      for (std::uint32_t d = 0; d < 4; ++d) {
        counts[d] += __popc(__ballot_sync(all_lanes, matches && (key >> digit & 3u) == d));
      }
    }
    if (lane_index() == 0) {
      for (int d = 0; d < 4; ++d) atomicAdd(&s.counts[d], counts[d]);
    }
    __syncthreads();
    for (int d = 3; d >= 0; --d) {
      const std::uint32_t count = s.counts[d];
      if (count >= wanted) {
        desired |= static_cast<std::uint32_t>(d) << digit;
        mask |= 3u << digit;
        break;
      }
      wanted -= count;
    }
    __syncthreads();
  }
  std::uint32_t written = 0;
  for (int equals = 0; equals < 2; ++equals) {
    for (std::uint32_t first = 0; first < n && written < k; first += legacy_threads) {
      const std::uint32_t i = first + threadIdx.x;
      const float value = i < n ? x[i] : 0.0f;
      const std::uint32_t key = magnitude_key(__float_as_uint(value));
      const bool chosen = i < n && (equals == 0 ? key > desired : key == desired);
      std::uint32_t total = 0;
      const std::uint32_t at = written + block_exclusive_scan(chosen ? 1u : 0u, total, s.scan);
      if (chosen && at < k) {
        indices[at] = static_cast<std::int32_t>(i);
        values[at] = value;
      }
      written += total;
    }
  }
}

}  // namespace paceline::cuda
