#pragma once

#include <vector>

#include "sim/values/buffer.hpp"

// What the network makes of values: on the host, whatever the workers compute on.
namespace paceline {

/// What arrives of a tensor that is sent with so many bits an element: with 16 rounded to fp16. Any
/// other width is the schedule's own coding, which has rounded the values before. In time-only runs
/// the tensor itself.
Tensor as_sent(TaskGraph* graph, const Tensor& tensor, double bits);

/// Weighted mean of the workers' tensors in rank order (the same bits whatever the algorithm or the
/// fidelity). With 16 bits each input is rounded to fp16 first, as it is on the wire.
BufferRef reduce_mean(TaskGraph& graph, const std::vector<Tensor>& inputs,
                      const std::vector<double>& weights, double bits);

/// gTop-k: pairwise merges up a binary tree, keeping k each time, of the blocks times their
/// weights.
SparseBufferRef merge_top_k(TaskGraph& graph, const std::vector<Sparse>& blocks,
                            const std::vector<double>& weights, std::int64_t k);

}  // namespace paceline
