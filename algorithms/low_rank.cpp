#include "algorithms/low_rank.hpp"

#include <cmath>
#include <random>

namespace paceline {

// A matrix [rows, cols] with factors [rows, rank] and [cols, rank], or (rank 0) a vector.
struct LowRank::Block {
  std::size_t at = 0, elements = 0;  // in the flat gradient
  std::size_t rows = 1, cols = 0, rank = 0;
  std::size_t p_at = 0, q_at = 0, vector_at = 0;
};

namespace {

using Block = LowRank::Block;

std::vector<Block> make_blocks(const ModelShape& model, std::int64_t rank, LowRankSizes& sizes) {
  std::vector<Block> blocks;
  for (const ModelShape::Item& tensor : model.tensors) {
    Block b;
    b.at = static_cast<std::size_t>(tensor.offset);
    b.elements = static_cast<std::size_t>(tensor.elements);
    b.rows = static_cast<std::size_t>(std::max<std::int64_t>(1, tensor.rows));
    b.cols = b.elements / b.rows;
    const auto r = std::min({static_cast<std::size_t>(rank), b.rows, b.cols});
    if (b.rows * b.cols == b.elements && r * (b.rows + b.cols) < b.elements) b.rank = r;
    b.p_at = static_cast<std::size_t>(sizes.p);
    b.q_at = static_cast<std::size_t>(sizes.q);
    b.vector_at = static_cast<std::size_t>(sizes.vectors);
    sizes.p += static_cast<std::int64_t>(b.rank * b.rows);
    sizes.q += static_cast<std::int64_t>(b.rank * b.cols);
    if (b.rank == 0) sizes.vectors += tensor.elements;
    blocks.push_back(b);
  }
  return blocks;
}

}  // namespace

LowRankSizes low_rank_sizes(const ModelShape& model, std::int64_t rank) {
  LowRankSizes sizes;
  make_blocks(model, rank, sizes);
  return sizes;
}

LowRank::LowRank(Worker& worker, std::int64_t rank)
    : worker_(worker), elements_(worker.model().elements) {
  blocks_ = std::make_shared<const std::vector<Block>>(make_blocks(worker.model(), rank, sizes_));
  // Each column is read and written once for every column before it, which is read too.
  for (const Block& b : *blocks_)
    orthogonalise_moves_ += 1.5 * static_cast<double>(b.rows * b.rank * (b.rank + 1));
}

Tensor LowRank::op(const char* name, std::span<const Tensor> reads, std::int64_t elements,
                   double elements_moved, ValueFunction values) const {
  return worker_.op(name, Activity::arithmetic, reads, elements,
                    worker_.elementwise_s(4 * elements_moved), std::move(values));
}

Tensor LowRank::first_q() const {
  return op("first Q", {}, sizes_.q, 0, [](auto, std::span<float> q) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : q) value = normal(random);
  });
}

Tensor LowRank::times_q(const Tensor& m, const Tensor& q) const {
  const Tensor reads[] = {m, q};
  return op("P = M Q", reads, sizes_.p, static_cast<double>(elements_ + sizes_.p + sizes_.q),
            [blocks = blocks_](auto in, std::span<float> p) {
              for (const Block& b : *blocks)
                for (std::size_t i = 0; i < b.rows; ++i)
                  for (std::size_t r = 0; r < b.rank; ++r) {
                    float sum = 0;
                    for (std::size_t j = 0; j < b.cols; ++j)
                      sum += in[0][b.at + i * b.cols + j] * in[1][b.q_at + j * b.rank + r];
                    p[b.p_at + i * b.rank + r] = sum;
                  }
            });
}

Tensor LowRank::transposed_times_p(const Tensor& m, const Tensor& p) const {
  const Tensor reads[] = {m, p};
  return op("Q = M^T P", reads, sizes_.q, static_cast<double>(elements_ + sizes_.p + sizes_.q),
            [blocks = blocks_](auto in, std::span<float> q) {
              std::fill(q.begin(), q.end(), 0.0f);
              for (const Block& b : *blocks)
                for (std::size_t i = 0; i < b.rows; ++i)
                  for (std::size_t j = 0; j < b.cols; ++j)
                    for (std::size_t r = 0; r < b.rank; ++r)
                      q[b.q_at + j * b.rank + r] +=
                          in[0][b.at + i * b.cols + j] * in[1][b.p_at + i * b.rank + r];
            });
}

Tensor LowRank::orthogonalise(const Tensor& p) const {
  return op("orthogonalise", std::span(&p, 1), sizes_.p, orthogonalise_moves_,
            [blocks = blocks_](auto in, std::span<float> out) {
              std::copy(in[0].begin(), in[0].end(), out.begin());
              for (const Block& b : *blocks) {
                const auto column = [&](std::size_t i, std::size_t r) -> float& {
                  return out[b.p_at + i * b.rank + r];
                };
                for (std::size_t r = 0; r < b.rank; ++r) {
                  for (std::size_t before = 0; before < r; ++before) {
                    float dot = 0;
                    for (std::size_t i = 0; i < b.rows; ++i)
                      dot += column(i, r) * column(i, before);
                    for (std::size_t i = 0; i < b.rows; ++i)
                      column(i, r) -= dot * column(i, before);
                  }
                  float square = 0;
                  for (std::size_t i = 0; i < b.rows; ++i) square += column(i, r) * column(i, r);
                  const float scale = 1 / (std::sqrt(square) + 1e-8f);
                  for (std::size_t i = 0; i < b.rows; ++i) column(i, r) *= scale;
                }
              }
            });
}

Tensor LowRank::vectors(const Tensor& m) const {
  return op("pack vectors", std::span(&m, 1), sizes_.vectors,
            2 * static_cast<double>(sizes_.vectors),
            [blocks = blocks_](auto in, std::span<float> out) {
              for (const Block& b : *blocks)
                if (b.rank == 0)
                  std::copy_n(in[0].begin() + static_cast<std::ptrdiff_t>(b.at), b.elements,
                              out.begin() + static_cast<std::ptrdiff_t>(b.vector_at));
            });
}

Tensor LowRank::product(const Tensor& p, const Tensor& q, const Tensor& vectors) const {
  const Tensor reads[] = {p, q, vectors};
  return op("P Q^T", reads, elements_, static_cast<double>(elements_ + sizes_.p + sizes_.q),
            [blocks = blocks_](auto in, std::span<float> out) {
              for (const Block& b : *blocks) {
                if (b.rank == 0) {
                  std::copy_n(in[2].begin() + static_cast<std::ptrdiff_t>(b.vector_at), b.elements,
                              out.begin() + static_cast<std::ptrdiff_t>(b.at));
                  continue;
                }
                for (std::size_t i = 0; i < b.rows; ++i)
                  for (std::size_t j = 0; j < b.cols; ++j) {
                    float sum = 0;
                    for (std::size_t r = 0; r < b.rank; ++r)
                      sum += in[0][b.p_at + i * b.rank + r] * in[1][b.q_at + j * b.rank + r];
                    out[b.at + i * b.cols + j] = sum;
                  }
              }
            });
}

Tensor LowRank::error(const Tensor& m, const Tensor& approximation) const {
  const Tensor reads[] = {m, approximation};
  return op("error", reads, elements_, 3 * static_cast<double>(elements_),
            [blocks = blocks_](auto in, std::span<float> out) {
              for (const Block& b : *blocks)
                for (std::size_t i = b.at; i < b.at + b.elements; ++i)
                  out[i] = b.rank == 0 ? 0 : in[0][i] - in[1][i];
            });
}

}  // namespace paceline
