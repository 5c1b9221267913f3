#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "kernels/random.hpp"

namespace paceline {

/// Random numbers one after the other, all determined by (seed, stream).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}

  std::uint32_t word() {
    if (used_ == 4) {
      words_ = kernels::random_words(seed_, stream_, block_++);
      used_ = 0;
    }
    return words_[used_++];
  }
  /// In [0, n), n < 2^32.
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>((std::uint64_t{word()} * static_cast<std::uint64_t>(n)) >> 32);
  }
  double uniform() { return word() * 0x1p-32; }  ///< in [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box and Muller).
  double normal() {
    const double radius = std::sqrt(-2 * std::log((word() + 1.0) * 0x1p-32));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t seed_, stream_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned used_ = 4;
};

}  // namespace paceline
