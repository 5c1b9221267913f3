#pragma once

#include <cstdint>

namespace paceline::cuda {

/// Sums over a vector take at most this many blocks, a number that depends on its length alone: the
/// same bits on every GPU.
constexpr unsigned sum_blocks = 1024;

/// Sum of x and of its square.
struct Moments {
  double sum, square;
};

/// In device memory: where reductions leave their small results.
struct Results {
  Moments partial[sum_blocks];
  Moments total;
  unsigned long long many;
  std::uint32_t count;
  float number;
};

}  // namespace paceline::cuda
