#pragma once

#include <vector>

#include "sim/values/buffer.hpp"

// What the network makes of values.
namespace paceline {

/// What arrives of a tensor that is sent with so many bits an element: with 16 rounded to fp16. Any
/// other width is the schedule's own coding, which has rounded the values before. In time-only runs
/// the tensor itself.
Tensor rounded_on_wire(TaskGraph* graph, const Tensor& tensor, double bits);

/// Weighted mean of the workers' tensors in rank order (the same bits whatever the algorithm or the
/// fidelity or the device). With 16 bits each input is rounded to fp16 first, as it is on the wire.
/// Where the inputs are: on a device if it holds all of them, else on the host.
BufferRef reduce_mean(TaskGraph& graph, const std::vector<Tensor>& inputs,
                      const std::vector<double>& weights, double bits);

/// The tensors one behind the other, each of them to the bit.
BufferRef concatenate(TaskGraph& graph, const std::vector<Tensor>& parts);

/// gTop-k: pairwise merges up a binary tree, keeping k each time, of the blocks times their
/// weights.
SparseBufferRef merge_top_k(TaskGraph& graph, const std::vector<Sparse>& blocks,
                            const std::vector<double>& weights, std::int64_t k);

}  // namespace paceline
