#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/operations/call.hpp"

// PowerSGD's arithmetic on all matrices of a model at once: kernels/low_rank.hpp, block by block.
namespace paceline::kernels {

/// One tensor of a model: a matrix [rows, cols] with factors P [rows, rank] and Q [cols, rank], or
/// (rank 0) a vector. Where it begins in the flat model, in all P, in all Q and in the packed
/// vectors, in elements.
struct LowRankBlock {
  std::size_t at = 0, elements = 0;
  std::size_t rows = 1, cols = 0, rank = 0;
  std::size_t p_at = 0, q_at = 0, vector_at = 0;
};
using LowRankBlocks = std::shared_ptr<const std::vector<LowRankBlock>>;

Call low_rank_left(LowRankBlocks blocks);         ///< m, q -> p
Call low_rank_right(LowRankBlocks blocks);        ///< m, p -> q
Call orthonormalize(LowRankBlocks blocks);        ///< p -> p
Call low_rank_reconstruct(LowRankBlocks blocks);  ///< p, q, packed vectors -> flat model
/// m, approximation -> what a matrix has lost; zero for vectors, which are sent whole.
Call low_rank_error(LowRankBlocks blocks);

}  // namespace paceline::kernels
