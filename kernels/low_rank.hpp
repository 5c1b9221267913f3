#pragma once

#include <cstdint>
#include <span>

// PowerSGD (arXiv 1905.13727): a gradient seen as a matrix M [rows, columns] is sent as P [rows,
// rank] and Q [columns, rank], M ~ P Q^T. All matrices row-major.
//   accumulate M into the residual; P = M Q; all-reduce P; orthonormalize P; Q = M^T P; all-reduce
//   Q; M' = P Q^T; residual = M - M'.
namespace paceline::kernels {

struct MatrixShape {
  std::int64_t rows = 1, columns = 1, rank = 1;
};

namespace reference {

/// P = M Q
void low_rank_left(const MatrixShape& shape, std::span<const float> m, std::span<const float> q,
                   std::span<float> p);
/// Q = M^T P
void low_rank_right(const MatrixShape& shape, std::span<const float> m, std::span<const float> p,
                    std::span<float> q);
/// M = P Q^T
void low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                          std::span<const float> q, std::span<float> m);
/// Modified Gram-Schmidt over the columns of P, left to right, in double. A column that lies in the
/// span of those before it (its norm falls below 1e-6 of what it was) becomes zero.
void orthonormalize(const MatrixShape& shape, std::span<float> p);

}  // namespace reference
}  // namespace paceline::kernels
