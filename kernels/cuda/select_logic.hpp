#pragma once

// The arithmetic of the radix select, apart from its kernels: plain functions for host and device.

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define PACELINE_HOST_DEVICE __host__ __device__
#else
#define PACELINE_HOST_DEVICE
#endif

namespace paceline::cuda {

constexpr std::uint32_t bucket_count = 2048;
constexpr std::uint32_t key_end = 0x80000000u;  ///< one past the largest key

/// Magnitude of a float as an integer of the same order: the bits without the sign. +0 and -0 are
/// equal, denormals count, infinity is above all numbers and NaN above infinity.
PACELINE_HOST_DEVICE inline std::uint32_t magnitude_key(std::uint32_t bits) {
  return bits & 0x7fffffffu;
}

/// Larger magnitude first, then lower index: the order of the selection as one integer, smallest
/// first.
PACELINE_HOST_DEVICE inline std::uint64_t selection_order(std::uint32_t key, std::uint32_t index) {
  return static_cast<std::uint64_t>(key_end - key) << 32 | index;
}

/// Cuts [lowest, key_end) into buckets of 2^shift keys; the last bucket also takes all above it.
struct KeyMap {
  std::uint32_t lowest;
  std::uint32_t shift;
};

/// The bucket of a key >= map.lowest.
PACELINE_HOST_DEVICE inline std::uint32_t bucket_of(KeyMap map, std::uint32_t key) {
  const std::uint32_t bucket = (key - map.lowest) >> map.shift;
  return bucket < bucket_count ? bucket : bucket_count - 1;
}

/// Sign-less bits 20 to 30: eight buckets per power of two. Zeros and denormals are below it,
/// uncounted.
PACELINE_HOST_DEVICE inline KeyMap top_digit_map() {
  return {1u << 20, 20};
}

/// The finest map that gives [lowest, end) whole buckets of its own.
PACELINE_HOST_DEVICE inline KeyMap map_over(std::uint32_t lowest, std::uint32_t end) {
  std::uint32_t shift = 0;
  while (((end - 1 - lowest) >> shift) >= bucket_count) ++shift;
  return {lowest, shift};
}

/// Where the k-th largest key is known to lie: among `members` keys in [lowest, end), as the
/// `wanted`-th largest of these (1 = the largest). Everything >= end is selected.
struct Boundary {
  std::uint32_t lowest;
  std::uint32_t end;
  std::uint32_t wanted;
  std::uint32_t members;
};

PACELINE_HOST_DEVICE inline bool single_key(const Boundary& b) {
  return b.end - b.lowest == 1;
}
PACELINE_HOST_DEVICE inline bool takes_all(const Boundary& b) {
  return b.wanted == b.members;
}

/// The boundary after a count: `bucket` holds the k-th largest, with `above` counted keys in higher
/// buckets. `end` bounds the keys that were counted.
PACELINE_HOST_DEVICE inline Boundary boundary_at(KeyMap map, std::uint32_t end,
                                                 std::uint32_t bucket, std::uint32_t wanted,
                                                 std::uint32_t above, std::uint32_t members) {
  const std::uint32_t lowest = map.lowest + (bucket << map.shift);
  // 64 bits: the last bucket of a map that starts high may end past 2^32.
  const std::uint64_t next = map.lowest + (static_cast<std::uint64_t>(bucket + 1) << map.shift);
  const bool last = bucket + 1 == bucket_count || next > end;
  return {lowest, last ? end : static_cast<std::uint32_t>(next), wanted - above, members};
}

/// Ranks in a sample of s = `sample` values between which the k-th largest of n lies, but for a
/// chance of some 1e-4 on each side: e = k s / n values of the sample are expected above it,
/// Poisson-like, so j - 4 sqrt(j) = e below and j + 4 sqrt(j) = e above. A miss costs time, never
/// exactness.
struct SampleRanks {
  std::uint32_t below;  ///< the threshold is above the sample's `below`-th largest
  std::uint32_t above;  ///< and under the `above`-th largest; 0: the sample cannot tell
};
inline SampleRanks sample_ranks(std::uint32_t sample, double k, double n) {
  const double root = std::sqrt(4.0 + k * sample / n);
  const double below = std::ceil((root + 2.0) * (root + 2.0));
  const double above = std::floor((root - 2.0) * (root - 2.0));
  return {below < sample ? static_cast<std::uint32_t>(below) : sample,
          static_cast<std::uint32_t>(above)};
}

}  // namespace paceline::cuda
