#pragma once

// Kernels over whole vectors: pointwise operations, sums, quantisers. Memory-bound: what counts is
// that each array is read or written once, 16 bytes at a time. Compiled without contraction to
// fused multiply-adds, so that the results have the reference's bits.

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/select_logic.hpp"

namespace paceline::cuda {

constexpr unsigned vector_threads = 256;

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

/// Sums over a vector take this many blocks on every GPU, so that the bits do not depend on its
/// size.
constexpr unsigned sum_blocks = 512;

/// Sums of x and of its square, in double: partial[block]; sum_moments_kernel adds these up.
struct Moments {
  double sum, square;
};
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    moments_kernel(const float* x, std::size_t n, Moments* partial) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t step = static_cast<std::size_t>(sum_blocks) * vector_threads;
  double sum = 0;
  double square = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    const double v = x[i];
    sum += v;
    square += v * v;
  }
  sum = block_sum(sum, scratch);
  square = block_sum(square, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = {sum, square};
}

/// One block of sum_blocks threads; total[0] gets the sum of `partial`.
PACELINE_KERNEL void sum_moments_kernel(const Moments* partial, Moments* total) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const double sum = block_sum(partial[threadIdx.x].sum, scratch);
  const double square = block_sum(partial[threadIdx.x].square, scratch);
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

// ---- quantisers
// -------------------------------------------------------------------------------------------

/// One thread per element; a half warp makes one word. n is covered by whole warps.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    two_bit_quantize_kernel(float threshold, const float* gradient, float* residual, std::size_t n,
                            std::uint32_t* codes) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  const std::size_t rounded = (n + 31) / 32 * 32;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
       i < rounded; i += step) {
    bool plus = false;
    bool minus = false;
    if (i < n) {
      float r = residual[i] + gradient[i];
      const bool broken = r != r;
      plus = r >= threshold || broken;
      minus = r <= -threshold || broken;
      if (broken) {
        r = 0.0f;
      } else if (plus) {
        r -= threshold;
      } else if (minus) {
        r += threshold;
      }
      residual[i] = r;
    }
    const unsigned low = __ballot_sync(all_lanes, plus);
    const unsigned high = __ballot_sync(all_lanes, minus);
    if ((lane_index() & 15u) == 0 && i < n) {
      // Spreads 16 bits to the even positions of a word.
      const auto spread = [](unsigned b) {
        b = (b | b << 8) & 0x00ff00ffu;
        b = (b | b << 4) & 0x0f0f0f0fu;
        b = (b | b << 2) & 0x33333333u;
        return (b | b << 1) & 0x55555555u;
      };
      const unsigned at = lane_index();
      codes[i / 16] = spread(low >> at & 0xffffu) | spread(high >> at & 0xffffu) << 1;
    }
  }
}

PACELINE_KERNEL void __launch_bounds__(vector_threads)
    two_bit_dequantize_kernel(float threshold, const std::uint32_t* codes, std::size_t n,
                              float* values) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    const unsigned code = codes[i / 16] >> (2 * (i % 16)) & 3u;
    values[i] = code == 0   ? 0.0f
                : code == 1 ? threshold
                : code == 2 ? -threshold
                            : __uint_as_float(0x7fc00000u);
  }
}

/// residual += gradient, with the sum of |residual| per block.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    accumulate_magnitude_kernel(const float* gradient, float* residual, std::size_t n,
                                Moments* partial) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t step = static_cast<std::size_t>(sum_blocks) * vector_threads;
  double sum = 0;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    const float r = residual[i] + gradient[i];
    residual[i] = r;
    sum += fabsf(r);
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = {sum, 0.0};
}

/// One thread per element, one word per warp. `total` holds the sum of magnitudes; scale_out gets
/// the mean.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    sign_quantize_kernel(const Moments* total, float* residual, std::size_t n, std::uint32_t* codes,
                         float* scale_out) {
  const auto scale = n == 0 ? 0.0f : static_cast<float>(total->sum / static_cast<double>(n));
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  const std::size_t rounded = (n + 31) / 32 * 32;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
       i < rounded; i += step) {
    bool minus = false;
    if (i < n) {
      const float r = residual[i];
      minus = r < 0.0f;
      residual[i] = minus ? r + scale : r - scale;
    }
    const unsigned word = __ballot_sync(all_lanes, minus);
    if (lane_index() == 0) codes[i / 32] = word;
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) *scale_out = scale;
}

PACELINE_KERNEL void __launch_bounds__(vector_threads)
    sign_dequantize_kernel(float scale, const std::uint32_t* codes, std::size_t n, float* values) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    values[i] = codes[i / 32] >> (i % 32) & 1u ? -scale : scale;
  }
}

/// IEEE binary16 by integer arithmetic: the reference's bits on every architecture, NaN included.
__device__ inline std::uint32_t to_fp16(float x) {
  const std::uint32_t bits = __float_as_uint(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and above round to infinity
  if (magnitude < 0x33000001u) return sign;             // 2^-25 and below round to zero
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  const int drop = exponent < -14 ? -exponent - 14 + 13 : 13;
  std::uint32_t half = exponent < -14 ? mantissa >> drop
                                      : (static_cast<std::uint32_t>(exponent + 15) << 10) +
                                            ((mantissa & 0x7fffffu) >> 13);
  const std::uint32_t rest = mantissa & ((1u << drop) - 1u);
  const std::uint32_t middle = 1u << (drop - 1);
  if (rest > middle || (rest == middle && (half & 1u)))
    ++half;  // may carry into the exponent, rightly
  return sign | half;
}

__device__ inline float from_fp16(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t exponent = half >> 10 & 31u;
  const std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
  const float tiny = static_cast<float>(mantissa) * 0x1p-24f;
  return __uint_as_float(sign | __float_as_uint(tiny));
}

/// Two elements per thread, one 32-bit store. The word after an odd n's last element is not
/// touched.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    pack_fp16_kernel(const float* values, std::size_t n, std::uint16_t* packed) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = 2 * (static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x);
       i < n; i += 2 * step) {
    const std::uint32_t low = to_fp16(values[i]);
    if (i + 1 < n && reinterpret_cast<std::uintptr_t>(packed) % 4 == 0) {
      *reinterpret_cast<std::uint32_t*>(packed + i) = low | to_fp16(values[i + 1]) << 16;
    } else {
      packed[i] = static_cast<std::uint16_t>(low);
      if (i + 1 < n) packed[i + 1] = static_cast<std::uint16_t>(to_fp16(values[i + 1]));
    }
  }
}

PACELINE_KERNEL void __launch_bounds__(vector_threads)
    unpack_fp16_kernel(const std::uint16_t* packed, std::size_t n, float* values) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x; i < n;
       i += step) {
    values[i] = from_fp16(packed[i]);
  }
}

// ---- sparse vectors
// ---------------------------------------------------------------------------------------

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

constexpr unsigned merge_threads = 1024;

/// The sum of two sparse vectors as one, in index order: a chain of values that both have is added,
/// a + b. One block. size[0] gets the number of entries.
PACELINE_KERNEL void __launch_bounds__(merge_threads)
    merge_kernel(const std::int32_t* a_indices, const float* a_values, std::uint32_t a_size,
                 const std::int32_t* b_indices, const float* b_values, std::uint32_t b_size,
                 std::int32_t* indices, float* values, std::uint32_t* size) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  // An entry's place: entries of its own vector before it, plus those of the other, less the pairs
  // counted twice. Pairs before it are counted chunk by chunk.
  std::uint32_t pairs = 0;
  for (std::uint32_t first = 0; first < a_size; first += merge_threads) {
    const std::uint32_t i = first + threadIdx.x;
    const bool valid = i < a_size;
    const std::int32_t index = valid ? a_indices[i] : 0;
    const std::uint32_t others = valid ? lower_bound(b_indices, b_size, index) : 0;
    const bool pair = valid && others < b_size && b_indices[others] == index;
    std::uint32_t in_chunk = 0;
    const std::uint32_t before = pairs + block_exclusive_scan(pair ? 1u : 0u, in_chunk, scratch);
    if (valid) {
      const std::uint32_t at = i + others - before;
      indices[at] = index;
      values[at] = pair ? a_values[i] + b_values[others] : a_values[i];
    }
    pairs += in_chunk;
  }
  std::uint32_t seen = 0;
  for (std::uint32_t first = 0; first < b_size; first += merge_threads) {
    const std::uint32_t i = first + threadIdx.x;
    const bool valid = i < b_size;
    const std::int32_t index = valid ? b_indices[i] : 0;
    const std::uint32_t others = valid ? lower_bound(a_indices, a_size, index) : 0;
    const bool pair = valid && others < a_size && a_indices[others] == index;
    std::uint32_t in_chunk = 0;
    const std::uint32_t before = seen + block_exclusive_scan(pair ? 1u : 0u, in_chunk, scratch);
    if (valid && !pair) {
      const std::uint32_t at = i + others - before;
      indices[at] = index;
      values[at] = b_values[i];
    }
    seen += in_chunk;
  }
  if (threadIdx.x == 0) *size = a_size + b_size - pairs;
}

// ---- full sort
// --------------------------------------------------------------------------------------------

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

// ---- PowerSGD
// ---------------------------------------------------------------------------------------------

constexpr unsigned orthonormalize_threads = 1024;
/// Modified Gram-Schmidt over the columns of p [rows, rank], as kernels/low_rank.hpp says. One
/// block: the rank is a handful, and the matrix fits the L2.
PACELINE_KERNEL void __launch_bounds__(orthonormalize_threads)
    orthonormalize_kernel(std::size_t rows, std::size_t rank, float* p) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const auto dot = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads) {
      sum += static_cast<double>(p[i * rank + a]) * p[i * rank + b];
    }
    return block_sum(sum, scratch);
  };
  // A thread reads and writes its own rows only, so no barrier is due between the columns.
  for (std::size_t j = 0; j < rank; ++j) {
    const double before = sqrt(dot(j, j));
    for (std::size_t earlier = 0; earlier < j; ++earlier) {
      const auto overlap = static_cast<float>(dot(earlier, j));
      for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads) {
        p[i * rank + j] -= overlap * p[i * rank + earlier];
      }
    }
    const double norm = sqrt(dot(j, j));
    const auto inverse = static_cast<float>(norm > 1e-6 * before ? 1 / norm : 0.0);
    for (std::size_t i = threadIdx.x; i < rows; i += orthonormalize_threads)
      p[i * rank + j] *= inverse;
  }
}

}  // namespace paceline::cuda
