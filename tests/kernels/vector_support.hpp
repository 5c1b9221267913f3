#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "kernels/backend.hpp"

namespace paceline::kernels::testing {

using Floats = std::vector<float>;

inline Floats random_floats(std::size_t n, std::uint64_t seed, float deviation = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Floats all(n);
  for (float& x : all) x = normal(random);
  return all;
}

/// A selection that owns its arrays.
struct Sparse {
  std::vector<std::int32_t> indices;
  Floats values;
  explicit Sparse(std::size_t k = 0) : indices(k), values(k) {}
  [[nodiscard]] SparseOutput output() { return {indices, values}; }
  [[nodiscard]] SparseView view() const { return {indices, values}; }
  void resize(std::int64_t k) {
    indices.resize(static_cast<std::size_t>(k));
    values.resize(static_cast<std::size_t>(k));
  }
  bool operator==(const Sparse&) const = default;
};

}  // namespace paceline::kernels::testing
