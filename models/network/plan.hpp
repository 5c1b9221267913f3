#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/shapes.hpp"
#include "models/graph.hpp"

namespace paceline {

/// One layer's place in a network: which arrays it reads and writes, forward and backward.
struct NetworkStep {
  kernels::LayerShape shape;
  std::size_t operation = 0;         ///< of the model; ascending over the steps
  std::vector<std::size_t> inputs;   ///< indices of NetworkPlan::values
  std::size_t output = 0;            ///< likewise
  std::vector<std::size_t> tensors;  ///< its parameters, indices of Model::tensors()
  std::int64_t state_offset = 0;     ///< in the network's state

  bool backward = false;            ///< depends on a parameter, so has a backward pass
  std::size_t output_gradient = 0;  ///< index of NetworkPlan::gradients
  /// One per input; none: not wanted, or the same as another input's.
  std::vector<std::optional<std::size_t>> input_gradients;
  struct Sum {
    std::size_t term, into;
  };
  std::vector<Sum> sums;  ///< made after the layer's backward pass: gradients of values read twice
};

struct NetworkLoss {
  std::size_t step = 0;
  std::size_t gradient = 0;  ///< index of NetworkPlan::gradients that holds the weight
  double weight = 1;
  std::int64_t rows = 0;
};

/// A piece of the state that lives from step to step.
struct StateSlot {
  std::size_t operation = 0;
  std::int64_t offset = 0, elements = 0;
  /// Running statistics of batch-norm, which workers average for evaluation; else hidden state of
  /// an LSTM, which belongs to one worker's sequences.
  bool statistics = false;
};

/// How a model is executed for one batch size: data only, the same for every backend and precision.
/// ReLU is fused into the batch-norm or sum before it, flatten is a view, and gradient arrays are
/// used again once they have been read for the last time.
struct NetworkPlan {
  std::vector<kernels::Dims> values;     ///< activations: inputs, labels, outputs of steps
  std::vector<kernels::Dims> gradients;  ///< arrays for gradients of activations
  std::size_t input = 0, labels = 0;     ///< indices of values
  std::vector<NetworkStep> steps;        ///< in forward order; backward runs them in reverse
  std::vector<NetworkLoss> losses;       ///< the last one is the main one
  std::vector<StateSlot> state;
  std::int64_t state_elements = 0;
  std::vector<std::int64_t> offsets;  ///< of each tensor in the flat parameters; then their total
  /// Tensors in the order in which their gradients become ready (gradient_events).
  std::vector<std::size_t> backward_order;
  /// forward_end[p]: how many steps run before tensor position p. One more than there are tensors.
  std::vector<std::size_t> forward_end;
  /// backward_end[p]: how many steps, from the last backwards, run before position p of
  /// backward_order.
  std::vector<std::size_t> backward_end;
};

/// Throws InputError if an operation cannot be executed (named), if the model has no loss, no
/// parameters or not exactly one input, or if batch < 1.
NetworkPlan plan_network(const Model& model, std::int64_t batch);

}  // namespace paceline
