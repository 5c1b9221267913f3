#include "kernels/operations/low_rank.hpp"

#include <algorithm>

#include "kernels/backend.hpp"

namespace paceline::kernels {
namespace {

MatrixShape shape_of(const LowRankBlock& b) {
  const auto whole = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  return {whole(b.rows), whole(b.cols), whole(b.rank)};
}

template <class T>
std::span<T> matrix(const LowRankBlock& b, std::span<T> m) {
  return m.subspan(b.at, b.elements);
}
template <class T>
std::span<T> left(const LowRankBlock& b, std::span<T> p) {
  return p.subspan(b.p_at, b.rows * b.rank);
}
template <class T>
std::span<T> right(const LowRankBlock& b, std::span<T> q) {
  return q.subspan(b.q_at, b.cols * b.rank);
}

const OperationInfo& whole_vector_info(std::string_view name) {
  return *std::find_if(kStructuredInfo.begin(), kStructuredInfo.end(),
                       [&](const OperationInfo& info) { return info.name == name; });
}

using OfBlock = void (*)(Backend& on, const LowRankBlock& block, Inputs in, std::span<float> out);

Call of_blocks(const OperationInfo& info, LowRankBlocks blocks, OfBlock of_block) {
  return {info, [blocks = std::move(blocks), of_block](Backend& on, Inputs in, Outputs out) {
            for (const LowRankBlock& b : *blocks) of_block(on, b, in, out.front());
          }};
}

}  // namespace

Call low_rank_left(LowRankBlocks blocks) {
  return of_blocks(whole_vector_info("low_rank_left"), std::move(blocks),
                   [](Backend& on, const LowRankBlock& b, Inputs in, std::span<float> p) {
                     if (b.rank > 0)
                       on.low_rank_left(shape_of(b), matrix(b, in[0]), right(b, in[1]), left(b, p));
                   });
}

Call low_rank_right(LowRankBlocks blocks) {
  return of_blocks(whole_vector_info("low_rank_right"), std::move(blocks),
                   [](Backend& on, const LowRankBlock& b, Inputs in, std::span<float> q) {
                     if (b.rank > 0)
                       on.low_rank_right(shape_of(b), matrix(b, in[0]), left(b, in[1]),
                                         right(b, q));
                   });
}

Call orthonormalize(LowRankBlocks blocks) {
  return of_blocks(whole_vector_info("orthonormalize"), std::move(blocks),
                   [](Backend& on, const LowRankBlock& b, Inputs in, std::span<float> p) {
                     if (b.rank == 0) return;
                     const std::span<float> columns = left(b, p);
                     on.copy(columns.data(), left(b, in[0]).data(), columns.size_bytes());
                     on.orthonormalize(shape_of(b), columns);
                   });
}

Call low_rank_reconstruct(LowRankBlocks blocks) {
  return of_blocks(whole_vector_info("low_rank_reconstruct"), std::move(blocks),
                   [](Backend& on, const LowRankBlock& b, Inputs in, std::span<float> out) {
                     const std::span<float> m = matrix(b, out);
                     if (b.rank > 0)
                       on.low_rank_reconstruct(shape_of(b), left(b, in[0]), right(b, in[1]), m);
                     else
                       on.copy(m.data(), in[2].data() + b.vector_at, m.size_bytes());
                   });
}

Call low_rank_error(LowRankBlocks blocks) {
  return of_blocks(kInfo<Combine>, std::move(blocks),
                   [](Backend& on, const LowRankBlock& b, Inputs in, std::span<float> out) {
                     const std::span<float> rest = matrix(b, out);
                     const std::span<const float> terms[] = {matrix(b, in[0]), matrix(b, in[1])};
                     if (b.rank > 0)
                       apply(on, PointwiseCall(Combine{1, -1}), terms, std::span(&rest, 1));
                     else
                       apply(on, PointwiseCall(Fill{0}), {}, std::span(&rest, 1));
                   });
}

}  // namespace paceline::kernels
