#include "algorithms/low_rank.hpp"

#include <algorithm>
#include <random>

namespace paceline {
namespace {

using kernels::LowRankBlock;

std::vector<LowRankBlock> make_blocks(const ModelShape& model, std::int64_t rank,
                                      LowRankSizes& sizes) {
  std::vector<LowRankBlock> blocks;
  for (const ModelShape::Item& tensor : model.tensors) {
    LowRankBlock b;
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
  blocks_ =
      std::make_shared<const std::vector<LowRankBlock>>(make_blocks(worker.model(), rank, sizes_));
}

Tensor LowRank::first_q() const {
  return worker_.op("first_q", {}, sizes_.q, [](auto, std::span<float> q) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : q) value = normal(random);
  });
}

Tensor LowRank::times_q(const Tensor& m, const Tensor& q) const {
  const Tensor reads[] = {m, q};
  return worker_.apply(kernels::low_rank_left(blocks_), reads, sizes_.p,
                       elements_ - sizes_.vectors);
}

Tensor LowRank::transposed_times_p(const Tensor& m, const Tensor& p) const {
  const Tensor reads[] = {m, p};
  return worker_.apply(kernels::low_rank_right(blocks_), reads, sizes_.q,
                       elements_ - sizes_.vectors);
}

Tensor LowRank::orthonormalize(const Tensor& p) const {
  return worker_.apply(kernels::orthonormalize(blocks_), std::span(&p, 1), sizes_.p, sizes_.p);
}

Tensor LowRank::vectors(const Tensor& m) const {
  std::vector<Tensor> parts;
  for (const LowRankBlock& b : *blocks_)
    if (b.rank == 0)
      parts.push_back(
          m.slice(static_cast<std::int64_t>(b.at), static_cast<std::int64_t>(b.elements)));
  return worker_.op("pack_vectors", parts, sizes_.vectors, [](auto in, std::span<float> out) {
    for (auto part : in) {
      std::copy(part.begin(), part.end(), out.begin());
      out = out.subspan(part.size());
    }
  });
}

Tensor LowRank::product(const Tensor& p, const Tensor& q, const Tensor& vectors) const {
  const Tensor reads[] = {p, q, vectors};
  return worker_.apply(kernels::low_rank_reconstruct(blocks_), reads, elements_,
                       elements_ - sizes_.vectors);
}

Tensor LowRank::error(const Tensor& m, const Tensor& approximation) const {
  const Tensor reads[] = {m, approximation};
  return worker_.apply(kernels::low_rank_error(blocks_), reads, elements_, elements_);
}

}  // namespace paceline
