#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

/// Philox4x32-10 as kernels/random.hpp has it: words 0 to 3 of block `index` of the stream (seed,
/// stream).
__device__ inline uint4 random_words(std::uint64_t seed, std::uint64_t stream,
                                     std::uint64_t index) {
  std::uint32_t c[4] = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                        static_cast<std::uint32_t>(stream),
                        static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t key_a = static_cast<std::uint32_t>(seed);
  std::uint32_t key_b = static_cast<std::uint32_t>(seed >> 32);
  PACELINE_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2];
    const std::uint32_t first = static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key_a;
    const std::uint32_t third = static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key_b;
    c[0] = first;
    c[1] = static_cast<std::uint32_t>(b);
    c[2] = third;
    c[3] = static_cast<std::uint32_t>(a);
    key_a += 0x9E3779B9u;
    key_b += 0xBB67AE85u;
  }
  return make_uint4(c[0], c[1], c[2], c[3]);
}

/// y = kept ? factor * x : 0, four elements per thread; `limit` = probability * 2^32. Backward
/// draws the same words again rather than reading a mask.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    dropout_kernel(const float* x, std::size_t n, std::uint64_t seed, std::uint64_t layer,
                   std::uint64_t limit, float factor, float* y) {
  for (std::size_t q = thread_number(); q < (n + 3) / 4; q += thread_total()) {
    const uint4 words = random_words(seed, layer, q);
    const std::uint32_t word[4] = {words.x, words.y, words.z, words.w};
    PACELINE_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (4 * q + j < n) y[4 * q + j] = word[j] >= limit ? factor * x[4 * q + j] : 0.0f;
    }
  }
}

}  // namespace paceline::cuda
