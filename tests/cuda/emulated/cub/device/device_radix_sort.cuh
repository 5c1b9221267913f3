#pragma once

// What kernels/cuda uses of CUB, for g++ (tests/cuda/emulated/README.md).

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "tests/cuda/emulated/runtime.hpp"

namespace cub {

struct DeviceRadixSort {
  /// Stable, by bits [begin_bit, end_bit) of the keys, largest first.
  template <class Key, class Value>
  static cudaError_t SortPairsDescending(void* scratch, std::size_t& bytes, const Key* keys,
                                         Key* sorted_keys, const Value* values,
                                         Value* sorted_values, int n, int begin_bit, int end_bit,
                                         cudaStream_t stream) {
    if (scratch == nullptr) {
      bytes = 256;
      return cudaSuccess;
    }
    return paceline::cuda::emulation::enqueue(stream, [=] {
      const auto digits = [&](int i) {
        return (std::uint64_t{keys[i]} & ((std::uint64_t{1} << end_bit) - 1)) >> begin_bit;
      };
      std::vector<int> order(static_cast<std::size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int a, int b) { return digits(a) > digits(b); });
      for (int i = 0; i < n; ++i) {
        sorted_keys[i] = keys[order[static_cast<std::size_t>(i)]];
        sorted_values[i] = values[order[static_cast<std::size_t>(i)]];
      }
    });
  }
};

}  // namespace cub
