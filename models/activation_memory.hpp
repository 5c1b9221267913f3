#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/graph.hpp"

namespace paceline {

/// What the backward pass drops and computes again, block by block ("activation checkpointing"):
/// nothing; all of a block but what it reads (full); all but that, the outputs of attention and
/// those of the 1st, 3rd, 5th ... linear layer of the block (selective, torchtitan's "op" policy
/// [code]).
enum class Recompute : std::uint8_t { none, selective, full };
const std::vector<std::string>& recompute_names();

/// Blocks of a model, by its operations' names: all whose names have the same beginning up to the
/// first part that is a number ("layer1.0", "model.layers.31"). What has less than four operations
/// is no block.
struct RecomputeBlocks {
  static constexpr std::size_t kNone = SIZE_MAX;
  std::vector<std::size_t> of;  ///< of each operation
  std::size_t count = 0;
};
RecomputeBlocks recompute_blocks(const Model& model);
/// Of each block, what of its forward pass is run again, by multiply-accumulates.
std::vector<double> recomputed_shares(const Model& model, const RecomputeBlocks& blocks,
                                      Recompute recompute);

/// What a framework keeps from the forward to the backward pass, beside what the mathematics needs
/// (kept_for_backward()).
struct KeepRules {
  double float_bytes = 4;         ///< of an activation; masks and losses are kept as they are
  bool relu_inputs = false;       ///< cuDNN's interface of MXNet wants both sides of a ReLU
  bool attention_scores = false;  ///< false: fused attention, which keeps its output instead
  Recompute recompute = Recompute::none;
};

/// Of one sample, in bytes.
struct ActivationMemory {
  double kept = 0;  ///< between the passes
  double peak = 0;  ///< most at once: with gradients of activations, the loss, a recomputed block
};
/// A walk down the backward pass: what is kept leaves with the last operation that wants it, the
/// gradient of an activation lives from its first reader's pass to its own; an addition hands its
/// gradient on. The cross-entropy of n logits has 3 n floats in fp32 (log-softmax, gradient, and
/// logits or their cast), in 16 bits the logits and their gradient besides.
ActivationMemory activation_memory(const Model& model, const KeepRules& rules);

}  // namespace paceline
