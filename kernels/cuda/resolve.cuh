#pragma once

// The last kernel of a selection (select.cuh): narrows the range of the k-th largest key, then
// writes what is selected.

#include "kernels/cuda/select.cuh"

namespace paceline::cuda {

/// Calls visit(valid, index, bits) for the settled elements of a tile, 32 at a time and in index
/// order.
template <class Source, class Visit>
__device__ inline void visit_elements(const Source& source, std::uint32_t n, std::uint32_t tile,
                                      const Visit& visit) {
  constexpr int depth = 8;
  const std::uint32_t base = tile * tile_size;
  PACELINE_NO_UNROLL
  for (std::uint32_t part = 0; part < tile_size && base + part < n; part += depth * 32) {
    const std::uint32_t first = base + part + lane_index();
    std::uint32_t bits[depth];
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j)
      bits[j] = first + j * 32 < n ? __float_as_uint(source.settled(first + j * 32)) : 0u;
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) visit(first + j * 32 < n, first + j * 32, bits[j]);
  }
}

/// The same for the candidates of the `tiles` tiles from `first_tile` on, at most 32 whose
/// candidates all have room: they are packed, so that a visit has 32 of them however few a tile
/// has, and the loads of several visits are in flight at once. `count`: of tile `first_tile` +
/// lane.
template <class Visit>
__device__ inline void visit_candidates(const SelectMemory& memory, std::uint32_t first_tile,
                                        std::uint32_t count, const Visit& visit) {
  const std::uint32_t end = warp_inclusive_scan(count);
  const std::uint32_t total = __shfl_sync(all_lanes, end, 31);
  constexpr int depth = 4;
  PACELINE_NO_UNROLL
  for (std::uint32_t first = 0; first < total; first += depth * 32) {
    uint2 slots[depth];
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      // The tile of candidate c is the number of tiles that end at or before it.
      const std::uint32_t c = first + j * 32 + lane_index();
      unsigned tile = 0;
      PACELINE_UNROLL
      for (unsigned half = 16; half > 0; half /= 2) {
        const std::uint32_t ends = __shfl_sync(all_lanes, end, tile + half - 1);
        if (ends <= c) tile += half;
      }
      const std::uint32_t begin = __shfl_sync(all_lanes, end - count, tile);
      slots[j] =
          c < total
              ? memory.slots[static_cast<std::size_t>(first_tile + tile) * memory.room + c - begin]
              : make_uint2(0, 0);
    }
    PACELINE_UNROLL
    for (int j = 0; j < depth; ++j) {
      if (first + j * 32 >= total) break;  // the same in every lane
      visit(first + j * 32 + lane_index() < total, slots[j].x, slots[j].y);
    }
  }
}

/// A warp's consecutive share of the tiles.
struct TileRange {
  std::uint32_t first, end;
};

/// Calls visit(valid, index, bits) for the elements of these tiles, 32 at a time and in index
/// order: the candidates where they are complete for the range asked for, else all.
template <class Source, class Visit>
__device__ inline void visit_tiles(const Source& source, std::uint32_t n,
                                   const SelectMemory& memory, bool candidates_suffice,
                                   TileRange range, const Visit& visit) {
  for (std::uint32_t first = range.first; first < range.end; first += 32) {
    const std::uint32_t tiles = min(range.end - first, 32u);
    bool packed = candidates_suffice;
    std::uint32_t count = 0;
    if (packed) {
      if (lane_index() < tiles) count = memory.tile_counts[first + lane_index()];
      packed = __all_sync(all_lanes, count <= memory.room);
      if (packed) visit_candidates(memory, first, count, visit);
    }
    for (std::uint32_t t = 0; t < tiles && !packed; ++t) {
      // Some tile of these had no room for all: one by one, so that the others stay cheap.
      const std::uint32_t here = __shfl_sync(all_lanes, count, t);
      if (candidates_suffice && here <= memory.room) {
        visit_candidates(memory, first + t, lane_index() == 0 ? here : 0u, visit);
      } else {
        visit_elements(source, n, first + t, visit);
      }
    }
  }
}

struct ResolveScratch {
  HistogramScratch select;
  BlockScratch<std::uint32_t> scan;
  std::uint64_t list[list_capacity];
  std::uint64_t last_selected;  ///< selection order of the last selected element of the list
  uint2 warp_counts[resolve_warps];
};

/// What the narrowing ends with.
struct Narrowed {
  Boundary boundary;
  std::uint32_t k;  ///< fewer than asked for where fewer reach the floor
  int levels;       ///< histograms that were used
};

/// Narrows until the boundary is one key, or few elements, or all of it is selected. Every block
/// decides for itself from the same counts.
template <class Source>
__device__ inline Narrowed narrow(const Source& source, std::uint32_t n, std::uint32_t k,
                                  RangeChoice choice, KeyMap map, const SelectMemory& memory,
                                  TileRange tiles, ResolveScratch& s) {
  const std::uint32_t candidate_floor = map.lowest;
  Boundary boundary{0, key_end, k, n};
  for (int level = 0;; ++level) {
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
    if (boundary.members <= list_capacity || single_key(boundary) || takes_all(boundary))
      return {boundary, k, level + 1};
    map = map_over(boundary.lowest, boundary.end);
    clear_histogram(s.select);
    const bool from_candidates = memory.room > 0 && boundary.lowest >= candidate_floor;
    visit_tiles(source, n, memory, from_candidates, tiles,
                [&](bool valid, std::uint32_t, std::uint32_t bits) {
                  const std::uint32_t key = magnitude_key(bits);
                  if (valid && key >= boundary.lowest && key < boundary.end)
                    atomicAdd(&s.select.histogram[bucket_of(map, key)], 1u);
                });
    add_histogram(s.select, memory.histograms + (level + 1) * bucket_count);
    grid_barrier();
  }
}

/// Elements above the boundary and in it that come before this warp: whole blocks, then warps of
/// this block.
__device__ inline uint2 count_before(const SelectMemory& memory, ResolveScratch& s) {
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
  return before;
}

/// Ranks the listed boundary: s.last_selected, and how many of its selected come before tile
/// `first`.
__device__ inline std::uint32_t rank_list(const SelectMemory& memory, const Boundary& boundary,
                                          std::uint32_t first, ResolveScratch& s) {
  if (threadIdx.x < boundary.members) s.list[threadIdx.x] = __ldcg(&memory.list[threadIdx.x]);
  __syncthreads();
  if (threadIdx.x < boundary.members) {
    const std::uint64_t order = s.list[threadIdx.x];
    std::uint32_t rank = 1;
    for (std::uint32_t i = 0; i < boundary.members; ++i) rank += s.list[i] < order ? 1u : 0u;
    if (rank == boundary.wanted) s.last_selected = order;
  }
  __syncthreads();
  std::uint32_t earlier = 0;
  for (std::uint32_t i = lane_index(); i < boundary.members; i += 32) {
    const auto index = static_cast<std::uint32_t>(s.list[i]);
    earlier += s.list[i] <= s.last_selected && index / tile_size < first ? 1u : 0u;
  }
  return warp_sum(earlier);
}

/// Cooperative launch of any number of blocks of resolve_threads. 1 <= k <= n. indices[k]
/// ascending, values[k] with them. With Range::floor: of the elements that reach the floor the k
/// largest, or all if they are fewer; written[0] (else null) gets their number.
template <class Source>
__global__ void __launch_bounds__(resolve_threads)
    resolve_kernel(Source source, std::uint32_t n, std::uint32_t k, RangeChoice choice,
                   SelectMemory memory, std::int32_t* indices, float* values,
                   std::uint32_t* written) {
  PACELINE_SHARED(ResolveScratch, s);
  const std::uint32_t tile_count = (n + tile_size - 1) / tile_size;
  const std::uint32_t warps = gridDim.x * resolve_warps;
  const std::uint32_t per_warp = (tile_count + warps - 1) / warps;
  const std::uint32_t warp = blockIdx.x * resolve_warps + warp_in_block();
  const std::uint32_t first_tile = min(warp * per_warp, tile_count);
  const TileRange tiles{first_tile, min(first_tile + per_warp, tile_count)};

  const KeyMap map = chosen_map(choice, memory.map);
  const Narrowed narrowed = narrow(source, n, k, choice, map, memory, tiles, s);
  const Boundary boundary = narrowed.boundary;
  const bool from_candidates = memory.room > 0 && boundary.lowest >= map.lowest;
  const bool listed = !takes_all(boundary) && boundary.members <= list_capacity;

  // Count what each warp has above the boundary and in it; list the boundary if it must be ordered.
  uint2 mine = make_uint2(0, 0);
  visit_tiles(source, n, memory, from_candidates, tiles,
              [&](bool valid, std::uint32_t index, std::uint32_t bits) {
                const std::uint32_t key = magnitude_key(bits);
                const bool above = valid && key >= boundary.end;
                const bool inside = valid && key >= boundary.lowest && !above;
                mine.x += __popc(__ballot_sync(all_lanes, above));
                mine.y += __popc(__ballot_sync(all_lanes, inside));
                if (inside && listed)
                  memory.list[atomicAdd(&memory.counters[1], 1u)] = selection_order(key, index);
              });
  if (lane_index() == 0) s.warp_counts[warp_in_block()] = mine;
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

  // Leave the memory clean for the next call.
  const std::uint32_t used = static_cast<std::uint32_t>(narrowed.levels) * bucket_count;
  for (std::uint32_t i = blockIdx.x * resolve_threads + threadIdx.x; i < used;
       i += gridDim.x * resolve_threads)
    memory.histograms[i] = 0;
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    memory.counters[1] = 0;
    if (written != nullptr) *written = narrowed.k;
  }

  uint2 before = count_before(memory, s);
  if (listed) before.y = rank_list(memory, boundary, tiles.first, s);

  // Write. Elements of the boundary go by their place in the order, or, when all are the same key,
  // by their rank in index order.
  std::uint32_t position = before.x + min(before.y, boundary.wanted);
  std::uint32_t tie = before.y;
  if (mine.x + mine.y == 0) return;
  visit_tiles(source, n, memory, from_candidates, tiles,
              [&](bool valid, std::uint32_t index, std::uint32_t bits) {
                const std::uint32_t key = magnitude_key(bits);
                const bool inside = valid && key >= boundary.lowest && key < boundary.end;
                const unsigned insiders = __ballot_sync(all_lanes, inside);
                bool selected = valid && key >= boundary.end;
                if (inside) {
                  selected = listed ? selection_order(key, index) <= s.last_selected
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

}  // namespace paceline::cuda
