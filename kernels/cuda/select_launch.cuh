#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/resolve.cuh"
#include "kernels/cuda/select_launch_grid.hpp"
#include "kernels/cuda/select_sources.cuh"

namespace paceline::cuda {

/// Vectors shorter than this are counted by their top digit without a sample: they sit in the L2
/// cache, so that reading them again costs less than one more launch.
constexpr std::uint32_t sampling_from = 1u << 19;

/// Slots per tile for k of n: twice the candidates that a sampled threshold lets through on
/// average, at least 32; 0 where candidates would be most of the vector.
inline std::uint32_t candidate_room(std::uint32_t n, std::uint32_t k) {
  if (n < sampling_from) return 0;
  const double share = static_cast<double>(sample_ranks(sample_size, k, n).below) / sample_size;
  std::uint32_t room = 32;
  while (room < 2.0 * share * tile_size) room *= 2;
  return room <= tile_size / 2 ? room : 0;
}

/// Bytes of each part of SelectMemory, 256-byte aligned, and their sum.
struct SelectLayout {
  std::size_t map, sample, counters, histograms, list, block_counts, tile_counts, slots, total;
  std::size_t zeroed;  ///< the first so many bytes are zero before the first call
  std::uint32_t room;
};
inline SelectLayout select_layout(std::uint32_t n, std::uint32_t k, const SelectGrid& grid) {
  SelectLayout layout{};
  std::size_t at = 0;
  const auto place = [&](std::size_t bytes) {
    const std::size_t offset = at;
    at += (bytes + 255) / 256 * 256;
    return offset;
  };
  const std::size_t tiles = (static_cast<std::size_t>(n) + tile_size - 1) / tile_size;
  layout.room = candidate_room(n, k);
  layout.counters = place(2 * sizeof(std::uint32_t));
  layout.histograms = place(histogram_levels * bucket_count * sizeof(std::uint32_t));
  layout.zeroed = at;
  layout.map = place(sizeof(KeyMap));
  layout.sample = place(sample_size * sizeof(std::uint32_t));
  layout.list = place(list_capacity * sizeof(std::uint64_t));
  layout.block_counts = place(grid.resolve_blocks * sizeof(uint2));
  layout.tile_counts = place(layout.room > 0 ? tiles * sizeof(std::uint32_t) : 0);
  layout.slots = place(tiles * layout.room * sizeof(uint2));
  layout.total = at;
  return layout;
}
inline SelectMemory select_memory(const SelectLayout& layout, void* base) {
  auto* bytes = static_cast<std::byte*>(base);
  return {reinterpret_cast<KeyMap*>(bytes + layout.map),
          reinterpret_cast<std::uint32_t*>(bytes + layout.sample),
          reinterpret_cast<std::uint32_t*>(bytes + layout.counters),
          reinterpret_cast<std::uint32_t*>(bytes + layout.histograms),
          reinterpret_cast<std::uint64_t*>(bytes + layout.list),
          reinterpret_cast<uint2*>(bytes + layout.block_counts),
          reinterpret_cast<std::uint32_t*>(bytes + layout.tile_counts),
          reinterpret_cast<uint2*>(bytes + layout.slots),
          layout.room};
}

/// Enqueues the selection of k of n (1 <= k <= n < 2^31), or, with `floor` > 0, of at most k of the
/// elements whose key reaches it. `aligned`: the source's pointers are multiples of 16 bytes. Never
/// synchronises; can be captured into a graph.
template <class Source>
void select_top_k(cudaStream_t stream, const SelectGrid& device, const Source& source, bool aligned,
                  std::uint32_t n, std::uint32_t k, const SelectMemory& memory,
                  std::int32_t* indices, float* values, bool has_floor = false,
                  std::uint32_t floor = 0, std::uint32_t* written = nullptr) {
  const bool sampled = !has_floor && n >= sampling_from && memory.room > 0;
  const RangeChoice choice{has_floor ? Range::floor
                           : sampled ? Range::sampled
                                     : Range::top_digit,
                           floor};
  const unsigned tiles = (n + tile_size - 1) / tile_size;
  const unsigned collect_blocks = min(device.collect_blocks, (tiles + 7) / 8);
  const unsigned resolve_blocks = min(device.resolve_blocks, (tiles + 3) / 4);
  if (sampled) {
    PACELINE_LAUNCH(stream, sample_size / sample_threads, sample_threads, (sample_kernel<Source>),
                    source, n, sample_ranks(sample_size, k, n), memory);
  }
  if (aligned) {
    PACELINE_LAUNCH(stream, collect_blocks, collect_threads, (collect_kernel<Source, true>), source,
                    n, choice, memory);
  } else {
    PACELINE_LAUNCH(stream, collect_blocks, collect_threads, (collect_kernel<Source, false>),
                    source, n, choice, memory);
  }
  PACELINE_LAUNCH_TOGETHER(stream, resolve_blocks, resolve_threads, (resolve_kernel<Source>),
                           source, n, k, choice, memory, indices, values, written);
}

}  // namespace paceline::cuda
