#include "kernels/low_rank.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/plain.hpp"

namespace paceline::kernels::reference {

void low_rank_left(const MatrixShape& shape, std::span<const float> m, std::span<const float> q,
                   std::span<float> p) {
  matrix_product(false, false, shape.rows, shape.rank, shape.columns, m.data(), q.data(), false,
                 p.data());
}

void low_rank_right(const MatrixShape& shape, std::span<const float> m, std::span<const float> p,
                    std::span<float> q) {
  const auto [rows, columns, rank] = shape;
  std::fill(q.begin(), q.end(), 0.0f);
  for (std::int64_t i = 0; i < rows; ++i)  // the rows of M in turn: M is read once, in order
    matrix_product(true, false, columns, rank, 1, m.data() + i * columns, p.data() + i * rank, true,
                   q.data());
}

void low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                          std::span<const float> q, std::span<float> m) {
  matrix_product(false, true, shape.rows, shape.columns, shape.rank, p.data(), q.data(), false,
                 m.data());
}

void orthonormalize(const MatrixShape& shape, std::span<float> p) {
  const auto [rows, columns, rank] = shape;
  const auto at = [&, r = rank](std::int64_t i, std::int64_t j) -> float& {
    return p[static_cast<std::size_t>(i * r + j)];
  };
  const auto dot = [&, n = rows](std::int64_t a, std::int64_t b) {
    return interleaved_sum<double>(n, [&](std::int64_t i) { return double(at(i, a)) * at(i, b); });
  };
  for (std::int64_t j = 0; j < rank; ++j) {
    const double before = std::sqrt(dot(j, j));
    for (std::int64_t earlier = 0; earlier < j; ++earlier) {
      const auto overlap = static_cast<float>(dot(earlier, j));
      for (std::int64_t i = 0; i < rows; ++i) at(i, j) -= overlap * at(i, earlier);
    }
    const double norm = std::sqrt(dot(j, j));
    const auto inverse = static_cast<float>(norm > 1e-6 * before ? 1 / norm : 0);
    for (std::int64_t i = 0; i < rows; ++i) at(i, j) *= inverse;
  }
}

}  // namespace paceline::kernels::reference
