#include <cub/device/device_radix_sort.cuh>

#include "kernels/cuda/backend.hpp"

namespace paceline::cuda {

std::size_t sort_by_magnitude(cudaStream_t stream, void* scratch, std::size_t bytes,
                              const std::uint32_t* keys, std::uint32_t* sorted_keys,
                              const std::int32_t* indices, std::int32_t* sorted_indices,
                              std::size_t n) {
  PACELINE_CHECK(cub::DeviceRadixSort::SortPairsDescending(scratch, bytes, keys, sorted_keys,
                                                           indices, sorted_indices,
                                                           static_cast<int>(n), 0, 31, stream));
  return bytes;
}

}  // namespace paceline::cuda
