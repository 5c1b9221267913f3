#pragma once

// Vectors of indices and values (kernels/sparsify.hpp): sums, unions, what a full sort takes.

#include "kernels/cuda/vector.cuh"

namespace paceline::cuda {

PACELINE_KERNEL void __launch_bounds__(vector_threads)
    clear_at_kernel(const std::int32_t* indices, std::size_t k, float* x) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < k;
       i += step) {
    x[indices[i]] = 0.0f;
  }
}

constexpr std::uint32_t scatter_tile =
    4096;  ///< elements of the sum that one block holds in shared memory
constexpr int scatter_blocks_at_once = 64;  ///< sparse vectors of one launch

struct SparseBlocks {
  const std::int32_t* indices[scatter_blocks_at_once];
  const float* values[scatter_blocks_at_once];
  std::uint32_t sizes[scatter_blocks_at_once];
  int count;
};

/// starts[p][t]: the first entry of block p that falls into tile t or later; starts[p][tiles] its
/// size. gridDim.y = blocks. Reads the indices once.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    scatter_starts_kernel(SparseBlocks blocks, std::uint32_t tiles, std::uint32_t* starts) {
  const unsigned p = blockIdx.y;
  const std::uint32_t size = blocks.sizes[p];
  std::uint32_t* mine = starts + static_cast<std::size_t>(p) * (tiles + 1);
  const std::uint32_t step = gridDim.x * vector_threads;
  for (std::uint32_t i = blockIdx.x * vector_threads + threadIdx.x; i <= size; i += step) {
    const std::uint32_t from =
        i == 0 ? 0 : static_cast<std::uint32_t>(blocks.indices[p][i - 1]) / scatter_tile + 1;
    const std::uint32_t to =
        i == size ? tiles : static_cast<std::uint32_t>(blocks.indices[p][i]) / scatter_tile;
    for (std::uint32_t t = from; t <= to; ++t) mine[t] = i;
  }
}

struct ScatterScratch {
  alignas(16) float sum[scatter_tile];
};

/// sum[i] += scale * value for block 0, 1, 2, ... in this order: the same bits on every replica. A
/// block of threads owns a tile of the sum. `fresh`: the sum is taken as zero before (and is not
/// read).
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    scatter_add_kernel(SparseBlocks blocks, float scale, bool fresh, std::uint32_t tiles,
                       const std::uint32_t* starts, float* sum, std::uint32_t n) {
  PACELINE_SHARED(ScatterScratch, s);
  for (std::uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::uint32_t base = tile * scatter_tile;
    const std::uint32_t here = min(scatter_tile, n - base);
    const bool vector = here == scatter_tile && reinterpret_cast<std::uintptr_t>(sum) % 16 == 0;
    if (fresh) {
      for (std::uint32_t i = threadIdx.x; i < here; i += vector_threads) s.sum[i] = 0.0f;
    } else if (vector) {
      for (std::uint32_t i = threadIdx.x * 4; i < here; i += vector_threads * 4) {
        *reinterpret_cast<float4*>(&s.sum[i]) = *reinterpret_cast<const float4*>(sum + base + i);
      }
    } else {
      for (std::uint32_t i = threadIdx.x; i < here; i += vector_threads) s.sum[i] = sum[base + i];
    }
    __syncthreads();
    for (int p = 0; p < blocks.count; ++p) {
      const std::uint32_t* mine = starts + static_cast<std::size_t>(p) * (tiles + 1) + tile;
      const std::uint32_t end = min(mine[1], blocks.sizes[p]);
      for (std::uint32_t i = mine[0] + threadIdx.x; i < end; i += vector_threads) {
        // Indices within a block are distinct, so no two threads meet. Out of order they would be
        // found in other tiles' ranges too: what is not of this tile is passed over.
        const std::uint32_t at = static_cast<std::uint32_t>(blocks.indices[p][i]) - base;
        if (at < here) s.sum[at] += scale * blocks.values[p][i];
      }
      __syncthreads();
    }
    if (vector) {
      for (std::uint32_t i = threadIdx.x * 4; i < here; i += vector_threads * 4) {
        *reinterpret_cast<float4*>(sum + base + i) = *reinterpret_cast<const float4*>(&s.sum[i]);
      }
    } else {
      for (std::uint32_t i = threadIdx.x; i < here; i += vector_threads) sum[base + i] = s.sum[i];
    }
    __syncthreads();
  }
}

/// sum[i] += scale * value for one block: for few entries, where a pass over the sum would cost
/// more.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    scatter_one_kernel(const std::int32_t* indices, const float* values, std::size_t k, float scale,
                       float* sum) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < k;
       i += step) {
    sum[indices[i]] += scale * values[i];
  }
}

/// sample[i] = x[first + i * stride]
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    strided_kernel(const float* x, std::size_t first, std::size_t stride, std::size_t count,
                   float* sample) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
       i < count; i += step) {
    sample[i] = x[first + i * stride];
  }
}

/// out[0] = the smallest magnitude key of values[k] (k >= 1), for which `out` must start as all
/// ones.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    smallest_key_kernel(const float* values, std::size_t k, std::uint32_t* out) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  std::uint32_t smallest = 0xffffffffu;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < k;
       i += step) {
    smallest = min(smallest, magnitude_key(__float_as_uint(values[i])));
  }
  for (int offset = 16; offset > 0; offset >>= 1) {
    smallest = min(smallest, __shfl_xor_sync(all_lanes, smallest, offset));
  }
  if (lane_index() == 0) atomicMin(out, smallest);
}

/// out[i] = table[places[i]] for indices and, by the same places, values.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    take_indices_kernel(const std::int32_t* table, std::int32_t* places, std::size_t k) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < k;
       i += step) {
    places[i] = table[places[i]];
  }
}

/// Entries of sorted[0, size) below `value`.
__device__ inline std::uint32_t lower_bound(const std::int32_t* sorted, std::uint32_t size,
                                            std::int32_t value) {
  std::uint32_t first = 0;
  while (size > 0) {
    const std::uint32_t half = size / 2;
    if (sorted[first + half] < value) {
      first += half + 1;
      size -= half + 1;
    } else {
      size = half;
    }
  }
  return first;
}

constexpr unsigned merge_threads = 256;
constexpr unsigned most_merge_blocks = 1024;

/// Blocks for the union of two sparse vectors, of which the longer has `entries`.
inline unsigned merge_blocks_of(std::size_t entries) {
  const std::size_t wanted = (entries + 4 * merge_threads - 1) / (4 * merge_threads);
  return wanted < 1                   ? 1
         : wanted < most_merge_blocks ? static_cast<unsigned>(wanted)
                                      : most_merge_blocks;
}

struct SparseVector {
  const std::int32_t* indices;
  const float* values;
  std::uint32_t size;
};

/// Calls visit(valid, i, others, pair) for this block's share of one vector's entries, all threads
/// together: `others` entries of the other vector come before entry i, and it has the same index
/// where `pair`.
template <class Visit>
__device__ inline void visit_share(const SparseVector& one, const SparseVector& other,
                                   const Visit& visit) {
  const std::uint32_t share = (one.size + gridDim.x - 1) / gridDim.x;
  const std::uint32_t begin = min(blockIdx.x * share, one.size);
  const std::uint32_t end = min(begin + share, one.size);
  for (std::uint32_t first = begin; first < end; first += merge_threads) {
    const std::uint32_t i = first + threadIdx.x;
    const bool valid = i < end;
    const std::int32_t index = valid ? one.indices[i] : 0;
    const std::uint32_t others = valid ? lower_bound(other.indices, other.size, index) : 0;
    visit(valid, i, others, valid && others < other.size && other.indices[others] == index);
  }
}

/// pairs[block], pairs[blocks + block]: the pairs in each block's share of a, and of b.
PACELINE_KERNEL void __launch_bounds__(merge_threads)
    merge_count_kernel(SparseVector a, SparseVector b, std::uint32_t* pairs) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  std::uint32_t of_a = 0;
  std::uint32_t of_b = 0;
  visit_share(a, b, [&](bool, std::uint32_t, std::uint32_t, bool pair) { of_a += pair ? 1u : 0u; });
  visit_share(b, a, [&](bool, std::uint32_t, std::uint32_t, bool pair) { of_b += pair ? 1u : 0u; });
  of_a = block_sum(of_a, scratch);
  of_b = block_sum(of_b, scratch);
  if (threadIdx.x == 0) {
    pairs[blockIdx.x] = of_a;
    pairs[gridDim.x + blockIdx.x] = of_b;
  }
}

/// Sum of counts[0, end), in every thread.
__device__ inline std::uint32_t sum_of_counts(const std::uint32_t* counts, unsigned end,
                                              BlockScratch<std::uint32_t>& scratch) {
  std::uint32_t mine = 0;
  for (unsigned i = threadIdx.x; i < end; i += merge_threads) mine += counts[i];
  return block_sum(mine, scratch);
}

/// The sum of two sparse vectors as one, in index order: values that both have are added, a + b.
/// As many blocks as counted `pairs`. size[0] gets the number of entries.
PACELINE_KERNEL void __launch_bounds__(merge_threads)
    merge_kernel(SparseVector a, SparseVector b, const std::uint32_t* pairs, std::int32_t* indices,
                 float* values, std::uint32_t* size) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  // An entry's place: entries of its own vector before it, plus those of the other, less the pairs
  // counted twice: those of earlier blocks, then chunk by chunk.
  std::uint32_t before = sum_of_counts(pairs, blockIdx.x, scratch);
  const auto place = [&](std::uint32_t i, std::uint32_t others, bool pair) {
    std::uint32_t in_chunk = 0;
    const std::uint32_t earlier = before + block_exclusive_scan(pair ? 1u : 0u, in_chunk, scratch);
    before += in_chunk;
    return i + others - earlier;
  };
  visit_share(a, b, [&](bool valid, std::uint32_t i, std::uint32_t others, bool pair) {
    const std::uint32_t at = place(i, others, pair);
    if (!valid) return;
    indices[at] = a.indices[i];
    values[at] = pair ? a.values[i] + b.values[others] : a.values[i];
  });
  before = sum_of_counts(pairs + gridDim.x, blockIdx.x, scratch);
  visit_share(b, a, [&](bool valid, std::uint32_t i, std::uint32_t others, bool pair) {
    const std::uint32_t at = place(i, others, pair);
    if (!valid || pair) return;
    indices[at] = b.indices[i];
    values[at] = b.values[i];
  });
  const std::uint32_t all = sum_of_counts(pairs, gridDim.x, scratch);
  if (blockIdx.x == 0 && threadIdx.x == 0) *size = a.size + b.size - all;
}

PACELINE_KERNEL void __launch_bounds__(vector_threads)
    sort_input_kernel(const float* x, std::size_t n, std::uint32_t* keys, std::int32_t* indices) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    keys[i] = magnitude_key(__float_as_uint(x[i]));
    indices[i] = static_cast<std::int32_t>(i);
  }
}
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    sort_output_kernel(const float* x, const std::int32_t* sorted, std::size_t k,
                       std::int32_t* indices, float* values) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < k;
       i += step) {
    indices[i] = sorted[i];
    values[i] = x[sorted[i]];
  }
}

}  // namespace paceline::cuda
