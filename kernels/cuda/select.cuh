#pragma once

// Exact top-k by magnitude with error feedback, in three launches, without host synchronisation,
// with the same bits every run (kernels/cuda/README.md counts the traffic):
//   sample_kernel    guesses a key range that holds the k-th largest magnitude (large vectors
//   only); collect_kernel   acc = residual + scale * gradient, written over the residual; counts
//   the keys of the
//                    guessed range and keeps what lies above its floor, tile by tile, as
//                    candidates;
//   resolve_kernel   narrows the range to few elements or one key, then writes indices and values
//   in index
//                    order and zeroes what was sent. Reads the candidates; only where the guess or
//                    a tile's room was exceeded does it read the accumulated vector again.
// A guess can only cost time: what is selected depends on the values alone, ties going to the lower
// index.

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

/// Where values come from and what being sent does to them. `Loaded4` lets a thread have several
/// loads in flight before the first use; a Source is passed to kernels by value. This one: acc =
/// residual + scale * gradient, each operation rounded, as the reference computes it.
struct ErrorFeedbackSource {
  const float* gradient;
  float* residual;
  float scale;

  struct Loaded4 {
    float4 gradient, residual;
  };
  __device__ float sum(float r, float g) const { return __fadd_rn(r, __fmul_rn(scale, g)); }
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {__ldcs(reinterpret_cast<const float4*>(gradient + i)),
            __ldcs(reinterpret_cast<const float4*>(residual + i))};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t i) const {
    const float4 out =
        make_float4(sum(in.residual.x, in.gradient.x), sum(in.residual.y, in.gradient.y),
                    sum(in.residual.z, in.gradient.z), sum(in.residual.w, in.gradient.w));
    *reinterpret_cast<float4*>(residual + i) = out;
    return out;
  }
  __device__ float peek(std::uint32_t i) const { return sum(residual[i], gradient[i]); }
  __device__ float settle(std::uint32_t i) const {
    const float out = peek(i);
    residual[i] = out;
    return out;
  }
  __device__ float settled(std::uint32_t i) const { return residual[i]; }
  __device__ void sent(std::uint32_t i) const { residual[i] = 0.0f; }
};

/// A vector that stays as it is.
struct PlainSource {
  const float* values;

  struct Loaded4 {
    float4 values;
  };
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {*reinterpret_cast<const float4*>(values + i)};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t) const { return in.values; }
  __device__ float peek(std::uint32_t i) const { return values[i]; }
  __device__ float settle(std::uint32_t i) const { return values[i]; }
  __device__ float settled(std::uint32_t i) const { return values[i]; }
  __device__ void sent(std::uint32_t) const {}
};

/// DGC's momentum correction: velocity = m * velocity + gradient; accumulated += velocity; both are
/// cleared where an element is sent (its momentum factor masking).
struct MomentumSource {
  const float* gradient;
  float* velocity;
  float* accumulated;
  float momentum;

  struct Loaded4 {
    float4 gradient, velocity, accumulated;
  };
  __device__ float next(float v, float g) const { return __fadd_rn(__fmul_rn(momentum, v), g); }
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {__ldcs(reinterpret_cast<const float4*>(gradient + i)),
            __ldcs(reinterpret_cast<const float4*>(velocity + i)),
            __ldcs(reinterpret_cast<const float4*>(accumulated + i))};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t i) const {
    const float4 v =
        make_float4(next(in.velocity.x, in.gradient.x), next(in.velocity.y, in.gradient.y),
                    next(in.velocity.z, in.gradient.z), next(in.velocity.w, in.gradient.w));
    const float4 out =
        make_float4(__fadd_rn(in.accumulated.x, v.x), __fadd_rn(in.accumulated.y, v.y),
                    __fadd_rn(in.accumulated.z, v.z), __fadd_rn(in.accumulated.w, v.w));
    __stcs(reinterpret_cast<float4*>(velocity + i), v);
    *reinterpret_cast<float4*>(accumulated + i) = out;
    return out;
  }
  __device__ float peek(std::uint32_t i) const {
    return __fadd_rn(accumulated[i], next(velocity[i], gradient[i]));
  }
  __device__ float settle(std::uint32_t i) const {
    const float v = next(velocity[i], gradient[i]);
    const float out = __fadd_rn(accumulated[i], v);
    velocity[i] = v;
    accumulated[i] = out;
    return out;
  }
  __device__ float settled(std::uint32_t i) const { return accumulated[i]; }
  __device__ void sent(std::uint32_t i) const {
    accumulated[i] = 0.0f;
    velocity[i] = 0.0f;
  }
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
  std::uint32_t histogram[bucket_count];
  BlockScratch<std::uint32_t> scan;
  std::uint32_t found[3];
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

__device__ inline void clear_histogram(SelectScratch& s) {
  for (std::uint32_t b = threadIdx.x; b < bucket_count; b += blockDim.x) s.histogram[b] = 0;
  __syncthreads();
}

__device__ inline void add_histogram(const SelectScratch& s, std::uint32_t* global) {
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

/// sample_size / sample_threads blocks; the last to finish turns the sample into memory.map. n >=
/// sample_size.
template <class Source>
__global__ void __launch_bounds__(sample_threads)
    sample_kernel(Source source, std::uint32_t n, SampleRanks ranks, SelectMemory memory) {
  PACELINE_SHARED(SelectScratch, s);
  PACELINE_SHARED(std::uint32_t, last);
  const std::uint32_t mine = blockIdx.x * sample_threads + threadIdx.x;
  memory.sample[mine] = magnitude_key(__float_as_uint(source.peek(sample_position(mine, n))));
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&memory.counters[0], 1u) == gridDim.x - 1 ? 1u : 0u;
  __syncthreads();
  if (last == 0) return;
  __threadfence();

  constexpr std::uint32_t per_thread = sample_size / sample_threads;
  std::uint32_t keys[per_thread];
  PACELINE_UNROLL
  for (std::uint32_t j = 0; j < per_thread; ++j) {
    keys[j] = __ldcg(&memory.sample[j * sample_threads + threadIdx.x]);
  }
  // Two digits of 11 bits: a rank's key to within 512 keys, a relative 2^-14.
  const auto shared_bucket = [&](std::uint32_t b) { return s.histogram[b]; };
  const auto prefix_of_rank = [&](std::uint32_t rank) {
    clear_histogram(s);
    PACELINE_UNROLL
    for (std::uint32_t j = 0; j < per_thread; ++j) atomicAdd(&s.histogram[keys[j] >> 20], 1u);
    __syncthreads();
    const FoundBucket high = find_bucket(shared_bucket, rank, s);
    clear_histogram(s);
    PACELINE_UNROLL
    for (std::uint32_t j = 0; j < per_thread; ++j) {
      if (keys[j] >> 20 == high.bucket) atomicAdd(&s.histogram[keys[j] >> 9 & 2047u], 1u);
    }
    __syncthreads();
    const FoundBucket low = find_bucket(shared_bucket, rank - high.above, s);
    return high.bucket << 11 | low.bucket;
  };
  const std::uint32_t lowest = ranks.below < sample_size ? prefix_of_rank(ranks.below) << 9 : 0u;
  // With too few expected above the threshold the largest sample bounds nothing: go one octave
  // further.
  const std::uint32_t highest = ranks.above > 0 ? (prefix_of_rank(ranks.above) + 1) << 9
                                                : (prefix_of_rank(1) << 9) + (1u << 23);
  if (threadIdx.x == 0) {
    std::uint32_t shift = 0;
    while (((highest - lowest) >> shift) >= bucket_count - 1) ++shift;
    *memory.map = {lowest, shift};
    memory.counters[0] = 0;
  }
}

/// One element of a tile, kept if it may be selected. `kept` runs over the tile.
__device__ inline void keep_candidate(const SelectMemory& memory, std::uint32_t tile,
                                      std::uint32_t slot, std::uint32_t index, float value) {
  if (slot < memory.room) {
    memory.slots[static_cast<std::size_t>(tile) * memory.room + slot] =
        make_uint2(index, __float_as_uint(value));
  }
}

/// Accumulates, counts and keeps candidates. Vector: all pointers are 16-byte aligned. n < 2^31.
template <class Source, bool Vector>
__global__ void __launch_bounds__(collect_threads)
    collect_kernel(Source source, std::uint32_t n, RangeChoice choice, SelectMemory memory) {
  PACELINE_SHARED(SelectScratch, s);
  clear_histogram(s);
  const KeyMap map = chosen_map(choice, memory.map);
  const std::uint32_t tiles = (n + tile_size - 1) / tile_size;
  const std::uint32_t warps = gridDim.x * (collect_threads / 32);
  const unsigned lane = lane_index();
  const auto count = [&](std::uint32_t bits) {
    atomicAdd(&s.histogram[bucket_of(map, magnitude_key(bits))], 1u);
  };

  for (std::uint32_t tile = blockIdx.x * (collect_threads / 32) + warp_in_block(); tile < tiles;
       tile += warps) {
    const std::uint32_t base = tile * tile_size;
    std::uint32_t kept = 0;
    if (Vector && n - base >= tile_size) {
      constexpr int depth = 4;  // 16-byte loads in flight per thread and array
      PACELINE_NO_UNROLL
      for (std::uint32_t half = 0; half < tile_size; half += depth * 128) {
        typename Source::Loaded4 loaded[depth];
        float4 values[depth];
        unsigned above = 0;
        PACELINE_UNROLL
        for (int j = 0; j < depth; ++j) loaded[j] = source.load4(base + half + j * 128 + lane * 4);
        PACELINE_UNROLL
        for (int j = 0; j < depth; ++j) {
          values[j] = source.settle4(loaded[j], base + half + j * 128 + lane * 4);
          const auto reaches = [&](float x) {
            return magnitude_key(__float_as_uint(x)) >= map.lowest ? 1u : 0u;
          };
          above |= (reaches(values[j].x) | reaches(values[j].y) << 1 | reaches(values[j].z) << 2 |
                    reaches(values[j].w) << 3)
                   << (4 * j);
        }
        if (!__any_sync(all_lanes, above != 0)) continue;
        PACELINE_UNROLL
        for (int j = 0; j < depth; ++j) {
          const unsigned mine = above >> (4 * j) & 15u;
          if (!__any_sync(all_lanes, mine != 0)) continue;
          const float elements[4] = {values[j].x, values[j].y, values[j].z, values[j].w};
          std::uint32_t slot = kept;
          PACELINE_UNROLL
          for (int c = 0; c < 4; ++c) {
            const unsigned ballot = __ballot_sync(all_lanes, mine >> c & 1u);
            slot += __popc(ballot & lanes_below());
            kept += __popc(ballot);
          }
          PACELINE_UNROLL
          for (int c = 0; c < 4; ++c) {
            if (mine >> c & 1u) {
              count(__float_as_uint(elements[c]));
              keep_candidate(memory, tile, slot++, base + half + j * 128 + lane * 4 + c,
                             elements[c]);
            }
          }
        }
      }
    } else {
      constexpr int depth = 8;
      PACELINE_NO_UNROLL
      for (std::uint32_t part = 0; part < tile_size; part += depth * 32) {
        if (base + part >= n) break;
        float values[depth];
        PACELINE_UNROLL
        for (int j = 0; j < depth; ++j) {
          const std::uint32_t i = base + part + j * 32 + lane;
          values[j] = i < n ? source.settle(i) : 0.0f;
        }
        PACELINE_UNROLL
        for (int j = 0; j < depth; ++j) {
          const std::uint32_t i = base + part + j * 32 + lane;
          const bool mine = i < n && magnitude_key(__float_as_uint(values[j])) >= map.lowest;
          const unsigned ballot = __ballot_sync(all_lanes, mine);
          if (mine) {
            count(__float_as_uint(values[j]));
            keep_candidate(memory, tile, kept + __popc(ballot & lanes_below()), i, values[j]);
          }
          kept += __popc(ballot);
        }
      }
    }
    if (memory.room > 0 && lane == 0) memory.tile_counts[tile] = kept;
  }
  add_histogram(s, memory.histograms);
}

/// Calls visit(valid, index, bits) for the elements of a tile, 32 at a time and in index order: its
/// candidates where they are complete for the range asked for, else the accumulated vector.
template <class Source, class Visit>
__device__ inline void visit_tile(const Source& source, std::uint32_t n, const SelectMemory& memory,
                                  bool candidates_suffice, std::uint32_t tile, const Visit& visit) {
  const unsigned lane = lane_index();
  if (candidates_suffice) {
    const std::uint32_t kept = memory.tile_counts[tile];
    if (kept <= memory.room) {
      const uint2* slots = memory.slots + static_cast<std::size_t>(tile) * memory.room;
      for (std::uint32_t first = 0; first < kept; first += 32) {
        const bool valid = first + lane < kept;
        const uint2 slot = valid ? slots[first + lane] : make_uint2(0, 0);
        visit(valid, slot.x, slot.y);
      }
      return;
    }
  }
  constexpr int depth = 8;
  const std::uint32_t base = tile * tile_size;
  PACELINE_NO_UNROLL
  for (std::uint32_t part = 0; part < tile_size && base + part < n; part += depth * 32) {
    std::uint32_t bits[depth];
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      const std::uint32_t i = base + part + j * 32 + lane;
      bits[j] = i < n ? __float_as_uint(source.settled(i)) : 0u;
    }
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      const std::uint32_t i = base + part + j * 32 + lane;
      visit(i < n, i, bits[j]);
    }
  }
}

struct ResolveScratch {
  SelectScratch select;
  BlockScratch<std::uint32_t> scan;
  std::uint64_t list[list_capacity];
  std::uint64_t last_selected;  ///< selection order of the last selected element of the list
  uint2 warp_counts[resolve_warps];
};

/// Cooperative launch of any number of blocks of resolve_threads. 1 <= k <= n. indices[k]
/// ascending, values[k] with them. With Range::floor: of the elements that reach the floor the k
/// largest, or all if they are fewer; written[0] (else null) gets their number.
template <class Source>
__global__ void __launch_bounds__(resolve_threads)
    resolve_kernel(Source source, std::uint32_t n, std::uint32_t k, RangeChoice choice,
                   SelectMemory memory, std::int32_t* indices, float* values,
                   std::uint32_t* written) {
  PACELINE_SHARED(ResolveScratch, s);
  const std::uint32_t tiles = (n + tile_size - 1) / tile_size;
  const std::uint32_t warps = gridDim.x * resolve_warps;
  const std::uint32_t per_warp = (tiles + warps - 1) / warps;
  const std::uint32_t warp = blockIdx.x * resolve_warps + warp_in_block();
  const std::uint32_t first_tile = min(warp * per_warp, tiles);
  const std::uint32_t end_tile = min(first_tile + per_warp, tiles);
  const unsigned lane = lane_index();
  KeyMap map = chosen_map(choice, memory.map);
  const std::uint32_t candidate_floor = map.lowest;

  // 1. Narrow until the boundary is one key, or few elements, or all of it is selected. Every block
  // decides for itself from the same counts.
  Boundary boundary{0, key_end, k, n};
  int level = 0;
  for (;; ++level) {
    const std::uint32_t* counts = memory.histograms + level * bucket_count;
    const FoundBucket found =
        find_bucket([&](std::uint32_t b) { return __ldcg(&counts[b]); }, boundary.wanted, s.select);
    if (found.bucket == bucket_count && choice.range == Range::floor) {
      boundary = {map.lowest, map.lowest, 0, 0};  // all that reach the floor, and no boundary
      k = found.above;
    } else if (found.bucket < bucket_count) {
      boundary =
          boundary_at(map, boundary.end, found.bucket, boundary.wanted, found.above, found.members);
    } else {  // only at level 0: the k-th is below all that was counted
      boundary = {0, map.lowest, k - found.above, n - found.above};
    }
    if (boundary.members <= list_capacity || single_key(boundary) || takes_all(boundary)) break;
    map = map_over(boundary.lowest, boundary.end);
    clear_histogram(s.select);
    const bool from_candidates = memory.room > 0 && boundary.lowest >= candidate_floor;
    for (std::uint32_t tile = first_tile; tile < end_tile; ++tile) {
      visit_tile(source, n, memory, from_candidates, tile,
                 [&](bool valid, std::uint32_t, std::uint32_t bits) {
                   const std::uint32_t key = magnitude_key(bits);
                   if (valid && key >= boundary.lowest && key < boundary.end) {
                     atomicAdd(&s.select.histogram[bucket_of(map, key)], 1u);
                   }
                 });
    }
    add_histogram(s.select, memory.histograms + (level + 1) * bucket_count);
    grid_barrier();
  }

  // 2. Count what each warp has above the boundary and in it; list the boundary if it must be
  // ordered.
  const bool from_candidates = memory.room > 0 && boundary.lowest >= candidate_floor;
  const bool all = takes_all(boundary);
  const bool listed = !all && boundary.members <= list_capacity;
  uint2 mine = make_uint2(0, 0);
  for (std::uint32_t tile = first_tile; tile < end_tile; ++tile) {
    visit_tile(source, n, memory, from_candidates, tile,
               [&](bool valid, std::uint32_t index, std::uint32_t bits) {
                 const std::uint32_t key = magnitude_key(bits);
                 const bool above = valid && key >= boundary.end;
                 const bool inside = valid && key >= boundary.lowest && !above;
                 mine.x += __popc(__ballot_sync(all_lanes, above));
                 mine.y += __popc(__ballot_sync(all_lanes, inside));
                 if (inside && listed) {
                   memory.list[atomicAdd(&memory.counters[1], 1u)] = selection_order(key, index);
                 }
               });
  }
  if (lane == 0) s.warp_counts[warp_in_block()] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
    uint2 sum = make_uint2(0, 0);
    for (unsigned w = 0; w < resolve_warps; ++w) {
      sum.x += s.warp_counts[w].x;
      sum.y += s.warp_counts[w].y;
    }
    memory.block_counts[blockIdx.x] = sum;
  }
  grid_barrier();

  // 3. What comes before this warp: whole blocks, then warps of this block.
  for (std::uint32_t i = blockIdx.x * resolve_threads + threadIdx.x;
       i < static_cast<std::uint32_t>(level + 1) * bucket_count; i += gridDim.x * resolve_threads) {
    memory.histograms[i] = 0;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    memory.counters[1] = 0;
    if (written != nullptr) *written = k;
  }
  uint2 before = make_uint2(0, 0);
  for (std::uint32_t b = threadIdx.x; b < blockIdx.x; b += resolve_threads) {
    before.x += __ldcg(&memory.block_counts[b].x);
    before.y += __ldcg(&memory.block_counts[b].y);
  }
  before.x = block_sum(before.x, s.scan);
  before.y = block_sum(before.y, s.scan);
  for (unsigned w = 0; w < warp_in_block(); ++w) {
    before.x += s.warp_counts[w].x;
    before.y += s.warp_counts[w].y;
  }

  std::uint64_t last_selected = 0;
  if (listed) {
    if (threadIdx.x < boundary.members) s.list[threadIdx.x] = __ldcg(&memory.list[threadIdx.x]);
    __syncthreads();
    if (threadIdx.x < boundary.members) {
      const std::uint64_t order = s.list[threadIdx.x];
      std::uint32_t rank = 1;
      for (std::uint32_t i = 0; i < boundary.members; ++i) rank += s.list[i] < order ? 1u : 0u;
      if (rank == boundary.wanted) s.last_selected = order;
    }
    __syncthreads();
    last_selected = s.last_selected;
    std::uint32_t earlier = 0;
    for (std::uint32_t i = lane; i < boundary.members; i += 32) {
      const auto index = static_cast<std::uint32_t>(s.list[i]);
      earlier += s.list[i] <= last_selected && index / tile_size < first_tile ? 1u : 0u;
    }
    before.y = warp_sum(earlier);
  }

  // 4. Write. Elements of the boundary go by their place in the order, or, when all are the same
  // key, by their rank in index order.
  std::uint32_t position = before.x + min(before.y, boundary.wanted);
  std::uint32_t tie = before.y;
  if (mine.x + mine.y == 0) return;
  for (std::uint32_t tile = first_tile; tile < end_tile; ++tile) {
    visit_tile(source, n, memory, from_candidates, tile,
               [&](bool valid, std::uint32_t index, std::uint32_t bits) {
                 const std::uint32_t key = magnitude_key(bits);
                 const bool inside = valid && key >= boundary.lowest && key < boundary.end;
                 const unsigned insiders = __ballot_sync(all_lanes, inside);
                 bool selected = valid && key >= boundary.end;
                 if (inside) {
                   selected = listed ? selection_order(key, index) <= last_selected
                                     : tie + __popc(insiders & lanes_below()) < boundary.wanted;
                 }
                 tie += __popc(insiders);
                 const unsigned chosen = __ballot_sync(all_lanes, selected);
                 if (selected) {
                   const std::uint32_t at = position + __popc(chosen & lanes_below());
                   indices[at] = static_cast<std::int32_t>(index);
                   values[at] = __uint_as_float(bits);
                   source.sent(index);
                 }
                 position += __popc(chosen);
               });
  }
}

// ---- torch.topk before 2022
// -------------------------------------------------------------------------------

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
