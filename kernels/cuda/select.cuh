#pragma once

// Exact top-k by magnitude with error feedback, in three launches, without host synchronisation,
// with the same bits every run (kernels/cuda/README.md counts the traffic):
//
// * sample_kernel guesses a key range that holds the k-th largest magnitude (large vectors only).
// * collect_kernel: acc = residual + scale * gradient, written over the residual; counts the keys
//   of the guessed range and keeps what lies above its floor, tile by tile, as candidates.
// * resolve_kernel narrows the range to few elements or one key, then writes indices and values in
//   index order and zeroes what was sent. It reads the candidates; only where the guess or a tile's
//   room was exceeded does it read the accumulated vector again.
//
// A guess can only cost time: what is selected depends on the values alone, ties going to the lower
// index. Where the values come from is a Source (select_sources.cuh).

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/select_logic.hpp"

namespace paceline::cuda {

constexpr std::uint32_t tile_size = 1024;  ///< consecutive elements that one warp takes at a time
constexpr std::uint32_t list_capacity = 512;
constexpr std::uint32_t sample_size = 16384;
constexpr unsigned sample_threads = 512;
constexpr unsigned collect_threads = 256;
constexpr unsigned resolve_threads = 512;
constexpr unsigned resolve_warps = resolve_threads / 32;
constexpr int histogram_levels = 5;

/// Device memory of one selection. Counters and histograms are zero before and after every call.
struct SelectMemory {
  KeyMap* map;                 ///< the sample's guess
  std::uint32_t* sample;       ///< [sample_size] keys
  std::uint32_t* counters;     ///< [2]: blocks of the sample done, entries in list
  std::uint32_t* histograms;   ///< [histogram_levels][bucket_count]
  std::uint64_t* list;         ///< [list_capacity] selection orders at the boundary
  uint2* block_counts;         ///< [blocks of resolve] keys above the boundary, and in it
  std::uint32_t* tile_counts;  ///< [tiles] candidates of each tile, also when above `room`
  uint2* slots;                ///< [tiles][room] index and value bits, in index order
  std::uint32_t room;          ///< slots per tile; 0: no candidates are kept
};

/// Which range the collecting kernel counts.
enum class Range : std::uint32_t {
  top_digit,  ///< everything but zeros and denormals, by the top digit
  sampled,    ///< what sample_kernel guessed
  floor       ///< from a given key up
};
struct RangeChoice {
  Range range;
  std::uint32_t floor;
};
__device__ inline KeyMap chosen_map(RangeChoice choice, const KeyMap* sampled) {
  if (choice.range == Range::sampled) return *sampled;
  if (choice.range == Range::top_digit) return top_digit_map();
  return map_over(choice.floor, key_end);
}

struct SelectScratch {
  BlockScratch<std::uint32_t> scan;
  std::uint32_t found[3];
};
struct HistogramScratch : SelectScratch {
  std::uint32_t histogram[bucket_count];
};

/// Finds the bucket of the `wanted`-th largest counted key. All threads call it and all get:
/// bucket, keys in higher buckets, keys in the bucket; bucket = bucket_count and the total as
/// `above` if fewer are counted.
struct FoundBucket {
  std::uint32_t bucket, above, members;
};
template <class Histogram>
__device__ inline FoundBucket find_bucket(const Histogram& histogram, std::uint32_t wanted,
                                          SelectScratch& s) {
  const std::uint32_t per_thread = bucket_count / blockDim.x;
  const std::uint32_t top = bucket_count - threadIdx.x * per_thread;
  std::uint32_t mine = 0;
  for (std::uint32_t j = 1; j <= per_thread; ++j) mine += histogram(top - j);
  std::uint32_t total = 0;
  std::uint32_t above = block_exclusive_scan(mine, total, s.scan);
  if (threadIdx.x == 0) {
    s.found[0] = bucket_count;
    s.found[1] = total;
    s.found[2] = 0;
  }
  __syncthreads();
  if (above < wanted && wanted <= above + mine) {
    for (std::uint32_t j = 1; j <= per_thread; ++j) {
      const std::uint32_t members = histogram(top - j);
      if (wanted <= above + members) {
        s.found[0] = top - j;
        s.found[1] = above;
        s.found[2] = members;
        break;
      }
      above += members;
    }
  }
  __syncthreads();
  const FoundBucket result{s.found[0], s.found[1], s.found[2]};
  __syncthreads();
  return result;
}

__device__ inline void clear_histogram(HistogramScratch& s) {
  for (std::uint32_t b = threadIdx.x; b < bucket_count; b += blockDim.x) s.histogram[b] = 0;
  __syncthreads();
}

__device__ inline void add_histogram(const HistogramScratch& s, std::uint32_t* global) {
  __syncthreads();
  for (std::uint32_t b = threadIdx.x; b < bucket_count; b += blockDim.x) {
    if (s.histogram[b] != 0) atomicAdd(&global[b], s.histogram[b]);
  }
}

/// Spreads the sample over the vector with a stride that no layer's width resonates with.
__device__ inline std::uint32_t sample_position(std::uint32_t i, std::uint32_t n) {
  const std::uint64_t begin = static_cast<std::uint64_t>(i) * n / sample_size;
  const std::uint64_t end = static_cast<std::uint64_t>(i + 1) * n / sample_size;
  const std::uint32_t hash = i * 2654435761u;
  return static_cast<std::uint32_t>(begin +
                                    (static_cast<std::uint64_t>(hash) * (end - begin) >> 32));
}

/// Histograms of the sample: of the high digit, and of the low digit of the keys that share the
/// high one with each of the two ranks.
struct SampleScratch {
  std::uint32_t high[bucket_count];
  std::uint32_t low[2][bucket_count];
  SelectScratch select;
  std::uint32_t last;
};

/// The range of keys between two ranks of the sample, as a map. By one block of sample_threads.
__device__ inline KeyMap map_of_sample(const std::uint32_t* sample, SampleRanks ranks,
                                       SampleScratch& s) {
  for (std::uint32_t b = threadIdx.x; b < bucket_count; b += sample_threads)
    s.high[b] = s.low[0][b] = s.low[1][b] = 0;
  constexpr std::uint32_t per_thread = sample_size / sample_threads;
  std::uint32_t keys[per_thread];
  PACELINE_UNROLL
  for (std::uint32_t j = 0; j < per_thread; ++j)
    keys[j] = __ldcg(&sample[j * sample_threads + threadIdx.x]);
  __syncthreads();
  PACELINE_UNROLL
  for (std::uint32_t j = 0; j < per_thread; ++j) atomicAdd(&s.high[keys[j] >> 20], 1u);
  __syncthreads();
  // With too few expected above the threshold the largest sample bounds nothing: then one octave
  // above it does.
  const std::uint32_t wanted[2] = {min(ranks.below, sample_size), max(ranks.above, 1u)};
  FoundBucket found[2];
  PACELINE_UNROLL
  for (int r = 0; r < 2; ++r)
    found[r] = find_bucket([&](std::uint32_t b) { return s.high[b]; }, wanted[r], s.select);
  PACELINE_UNROLL
  for (std::uint32_t j = 0; j < per_thread; ++j) {
    PACELINE_UNROLL
    for (int r = 0; r < 2; ++r) {
      if (keys[j] >> 20 == found[r].bucket) atomicAdd(&s.low[r][keys[j] >> 9 & 2047u], 1u);
    }
  }
  __syncthreads();
  // Two digits of 11 bits: a rank's key to within 512 keys, a relative 2^-14.
  std::uint32_t prefix[2];
  PACELINE_UNROLL
  for (int r = 0; r < 2; ++r) {
    const FoundBucket low = find_bucket([&](std::uint32_t b) { return s.low[r][b]; },
                                        wanted[r] - found[r].above, s.select);
    prefix[r] = found[r].bucket << 11 | low.bucket;
  }
  const std::uint32_t lowest = ranks.below < sample_size ? prefix[0] << 9 : 0u;
  const std::uint32_t highest =
      ranks.above > 0 ? (prefix[1] + 1) << 9 : (prefix[1] << 9) + (1u << 23);
  std::uint32_t shift = 0;
  while (((highest - lowest) >> shift) >= bucket_count - 1) ++shift;
  return {lowest, shift};
}

/// sample_size / sample_threads blocks; the last to finish turns the sample into memory.map. n >=
/// sample_size.
template <class Source>
__global__ void __launch_bounds__(sample_threads)
    sample_kernel(Source source, std::uint32_t n, SampleRanks ranks, SelectMemory memory) {
  PACELINE_SHARED(SampleScratch, s);
  const std::uint32_t mine = blockIdx.x * sample_threads + threadIdx.x;
  memory.sample[mine] = magnitude_key(__float_as_uint(source.peek(sample_position(mine, n))));
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) s.last = atomicAdd(&memory.counters[0], 1u) == gridDim.x - 1 ? 1u : 0u;
  __syncthreads();
  if (s.last == 0) return;
  __threadfence();
  const KeyMap map = map_of_sample(memory.sample, ranks, s);
  if (threadIdx.x == 0) {
    *memory.map = map;
    memory.counters[0] = 0;
  }
}

/// What collect_kernel does with one tile of the warp's: the number of candidates, of which those
/// with room are kept in index order. `Element` is called for each, by its lane, with its slot.
struct TileCollector {
  HistogramScratch& s;
  const SelectMemory& memory;
  KeyMap map;
  std::uint32_t tile;
  std::uint32_t kept = 0;

  [[nodiscard]] __device__ bool reaches(float x) const {
    return magnitude_key(__float_as_uint(x)) >= map.lowest;
  }
  __device__ void keep(std::uint32_t slot, std::uint32_t index, float value) const {
    const std::uint32_t bits = __float_as_uint(value);
    atomicAdd(&s.histogram[bucket_of(map, magnitude_key(bits))], 1u);
    if (slot < memory.room)
      memory.slots[static_cast<std::size_t>(tile) * memory.room + slot] = make_uint2(index, bits);
  }
  /// One element of each lane, in lane order. All lanes call it.
  __device__ void add(bool mine, std::uint32_t index, float value) {
    const unsigned ballot = __ballot_sync(all_lanes, mine);
    if (mine) keep(kept + __popc(ballot & lanes_below()), index, value);
    kept += __popc(ballot);
  }
  /// Four consecutive elements of each lane, those of `mine` (a bit each). All lanes call it.
  __device__ void add4(unsigned mine, std::uint32_t index, const float4& value) {
    if (!__any_sync(all_lanes, mine != 0)) return;
    const float elements[4] = {value.x, value.y, value.z, value.w};
    std::uint32_t slot = kept;
    PACELINE_UNROLL
    for (int c = 0; c < 4; ++c) {
      const unsigned ballot = __ballot_sync(all_lanes, mine >> c & 1u);
      slot += __popc(ballot & lanes_below());
      kept += __popc(ballot);
    }
    PACELINE_UNROLL
    for (int c = 0; c < 4; ++c) {
      if (mine >> c & 1u) keep(slot++, index + c, elements[c]);
    }
  }
};

/// A whole tile, 16 bytes at a time.
template <class Source>
__device__ inline void collect_quads(const Source& source, std::uint32_t base,
                                     TileCollector& collector) {
  constexpr int depth = 4;  // 16-byte loads in flight per thread and array
  PACELINE_NO_UNROLL
  for (std::uint32_t half = 0; half < tile_size; half += depth * 128) {
    const std::uint32_t first = base + half + lane_index() * 4;
    typename Source::Loaded4 loaded[depth];
    float4 values[depth];
    unsigned above = 0;
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) loaded[j] = source.load4(first + j * 128);
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      values[j] = source.settle4(loaded[j], first + j * 128);
      const auto reaches = [&](float x) { return collector.reaches(x) ? 1u : 0u; };
      above |= (reaches(values[j].x) | reaches(values[j].y) << 1 | reaches(values[j].z) << 2 |
                reaches(values[j].w) << 3)
               << (4 * j);
    }
    if (!__any_sync(all_lanes, above != 0)) continue;
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j)
      collector.add4(above >> (4 * j) & 15u, first + j * 128, values[j]);
  }
}

/// A tile that ends early or lies on no 16-byte boundary.
template <class Source>
__device__ inline void collect_singles(const Source& source, std::uint32_t base, std::uint32_t n,
                                       TileCollector& collector) {
  constexpr int depth = 8;
  PACELINE_NO_UNROLL
  for (std::uint32_t part = 0; part < tile_size && base + part < n; part += depth * 32) {
    const std::uint32_t first = base + part + lane_index();
    float values[depth];
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j)
      values[j] = first + j * 32 < n ? source.settle(first + j * 32) : 0.0f;
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      const std::uint32_t i = first + j * 32;
      collector.add(i < n && collector.reaches(values[j]), i, values[j]);
    }
  }
}

/// Accumulates, counts and keeps candidates. Vector: all pointers are 16-byte aligned. n < 2^31.
template <class Source, bool Vector>
__global__ void __launch_bounds__(collect_threads)
    collect_kernel(Source source, std::uint32_t n, RangeChoice choice, SelectMemory memory) {
  PACELINE_SHARED(HistogramScratch, s);
  clear_histogram(s);
  const KeyMap map = chosen_map(choice, memory.map);
  const std::uint32_t tiles = (n + tile_size - 1) / tile_size;
  const std::uint32_t warps = gridDim.x * (collect_threads / 32);
  for (std::uint32_t tile = blockIdx.x * (collect_threads / 32) + warp_in_block(); tile < tiles;
       tile += warps) {
    const std::uint32_t base = tile * tile_size;
    TileCollector collector{s, memory, map, tile};
    if (Vector && n - base >= tile_size) {
      collect_quads(source, base, collector);
    } else {
      collect_singles(source, base, n, collector);
    }
    if (memory.room > 0 && lane_index() == 0) memory.tile_counts[tile] = collector.kept;
  }
  add_histogram(s, memory.histograms);
}

}  // namespace paceline::cuda
