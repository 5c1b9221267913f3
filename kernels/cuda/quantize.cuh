#pragma once

// Two bits, one bit and fp16 per element (kernels/quantize.hpp).

#include "kernels/cuda/vector.cuh"
#include "kernels/operations/blend.hpp"

namespace paceline::cuda {

/// One thread per element; a half warp makes one word. n is covered by whole warps.
PACELINE_KERNEL void __launch_bounds__(vector_threads)
    two_bit_quantize_kernel(kernels::TwoBitQuantize quantize, const float* gradient,
                            float* residual, std::size_t n, std::uint32_t* codes) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * vector_threads;
  const std::size_t rounded = (n + 31) / 32 * 32;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * vector_threads + threadIdx.x;
       i < rounded; i += step) {
    bool plus = false;
    bool minus = false;
    if (i < n) {
      const auto [sent, rest] = quantize(gradient[i], residual[i]);
      plus = !(sent <= 0);  // 3, both bits, is NaN
      minus = !(sent >= 0);
      residual[i] = rest;
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
  double sum = 0;
  const auto add = [&](float& r, float g) {
    r += g;
    sum += fabsf(r);
  };
  const bool aligned = aligned16(gradient) && aligned16(residual);
  for (std::size_t i = 4 * thread_in_grid(); i < n; i += 4 * threads_in_grid()) {
    const std::size_t here = min(n - i, std::size_t{4});
    const float4 g = load_quad(gradient + i, here, aligned);
    float4 r = load_quad(residual + i, here, aligned);
    add(r.x, g.x);  // beyond `here` both are zero
    add(r.y, g.y);
    add(r.z, g.z);
    add(r.w, g.w);
    if (aligned && here == 4) {
      *reinterpret_cast<float4*>(residual + i) = r;
    } else {
      for (std::size_t c = 0; c < here; ++c) residual[i + c] = lane_of(r, static_cast<int>(c));
    }
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

}  // namespace paceline::cuda
