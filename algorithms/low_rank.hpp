#pragma once

#include "algorithms/worker.hpp"
#include "kernels/operations/low_rank.hpp"

namespace paceline {

/// Elements that PowerSGD sends.
struct LowRankSizes {
  std::int64_t p = 0, q = 0, vectors = 0;
};
LowRankSizes low_rank_sizes(const ModelShape& model, std::int64_t rank);

/// PowerSGD's arithmetic on the flat gradient: all matrices of the model in one operation each. A
/// tensor is compressed if it is a matrix (ModelShape::Item::rows) and its two factors are smaller
/// than itself; the others are "vectors". Costs: by the lines of kernels::low_rank_left and its
/// kin over the elements of all matrices, else every operation streams its matrices once, which is
/// what takes the time up to ranks of about 32.
class LowRank {
 public:
  LowRank(Worker& worker, std::int64_t rank);

  [[nodiscard]] Tensor first_q() const;  ///< random normal, the same on every worker
  [[nodiscard]] Tensor times_q(const Tensor& m, const Tensor& q) const;             ///< P = M Q
  [[nodiscard]] Tensor transposed_times_p(const Tensor& m, const Tensor& p) const;  ///< Q = M^T P
  /// Columns of each P orthonormal, by Gram-Schmidt.
  [[nodiscard]] Tensor orthonormalize(const Tensor& p) const;
  [[nodiscard]] Tensor vectors(const Tensor& m) const;  ///< what is not compressed, packed
  /// P Q^T for the matrices, `vectors` for the rest: flat.
  [[nodiscard]] Tensor product(const Tensor& p, const Tensor& q, const Tensor& vectors) const;
  /// m - approximation for the matrices, zero for the vectors: they are sent whole.
  [[nodiscard]] Tensor error(const Tensor& m, const Tensor& approximation) const;

 private:
  Worker& worker_;
  kernels::LowRankBlocks blocks_;
  LowRankSizes sizes_;
  std::int64_t elements_ = 0;
};

}  // namespace paceline
