#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.hpp"
#include "models/data/batch.hpp"
#include "models/graph.hpp"
#include "models/network/plan.hpp"

namespace paceline {

/// A model made executable on a backend for one batch size. It owns what a worker needs of its own
/// beside parameters and gradient: activations, layer memory and state. One per worker; any thread
/// may call, one at a time. Parameters and gradients are flat vectors in the backend's memory, the
/// tensors of model.tensors() one after the other.
///
/// A pass may be run in pieces, by positions: in the forward pass, position p is tensor p, and a
/// tensor's piece holds what StepCosts books on it (up to the next operation with parameters); in
/// the backward pass, position p is the p-th tensor of backward_order(), and its piece ends when
/// that gradient is complete. Pieces of a pass must follow each other; a piece may be empty.
class Network {
 public:
  /// Throws InputError if the model cannot be trained (plan_network).
  Network(const Model& model, kernels::Backend& backend, std::int64_t batch);
  ~Network();
  Network(Network&&) noexcept;

  [[nodiscard]] std::int64_t batch() const { return batch_; }
  [[nodiscard]] std::size_t tensors() const { return plan().offsets.size() - 1; }
  [[nodiscard]] std::int64_t parameters() const { return plan().offsets.back(); }
  [[nodiscard]] std::int64_t offset(std::size_t tensor) const { return plan().offsets[tensor]; }
  /// Indices of model.tensors(), first the one whose gradient is ready first.
  [[nodiscard]] const std::vector<std::size_t>& backward_order() const {
    return plan().backward_order;
  }
  [[nodiscard]] const NetworkPlan& plan() const;
  /// Activations, their gradients and state. Parameters and gradient, which the caller holds, and
  /// what the layers keep for themselves are not counted.
  [[nodiscard]] std::int64_t memory_bytes() const;

  /// The samples of the next forward pass. Throws InputError if their number does not fit.
  void load(const Batch& batch);
  /// Positions [from, to); to == tensors() includes the loss. `training`: dropout acts, by `seed`,
  /// and batch-norm uses and records the batch's statistics. LSTMs go on from the state in which
  /// the last pass left them, in either mode.
  void forward(std::size_t from, std::size_t to, std::span<const float> parameters, bool training,
               std::uint64_t seed);
  /// Positions [from, to) of backward_order(); overwrites the gradients of those tensors, of the
  /// mean loss over the batch. After a whole forward pass in training mode. The parameters must be
  /// those of the forward pass.
  void backward(std::size_t from, std::size_t to, std::span<const float> parameters,
                std::span<float> gradient);

  // Of the latest forward pass. They wait for the backend.
  [[nodiscard]] float loss() const;  ///< mean over the rows; of several losses the weighted sum
  [[nodiscard]] std::int64_t correct() const;  ///< rows the main loss's logits predict rightly
  [[nodiscard]] std::int64_t rows() const;     ///< labels per batch: samples, or tokens

  // What lives from step to step beside the parameters: plan().state says where each operation's
  // lies. Hidden states depend on the batch size, statistics do not.
  [[nodiscard]] std::int64_t state_elements() const { return plan().state_elements; }
  void read_state(std::span<float> host) const;
  void write_state(std::span<const float> host);
  /// Hidden states of LSTMs to zero: the next batch does not continue the one before.
  void forget();

 private:
  struct Run;
  std::int64_t batch_;
  kernels::Backend* backend_;
  std::unique_ptr<Run> run_;
};

/// The flat parameter vector, in host memory, from which every worker starts. Element i of tensor t
/// depends on (seed, t, i) alone. conv2d: uniform in +-sqrt(6/fan_in) (He et al., arXiv
/// 1502.01852); dense: +-1/sqrt(inputs), and lstm: +-1/sqrt(hidden), PyTorch's defaults; biases of
/// conv2d and dense: +-1/sqrt(fan_in), likewise; embedding: +-0.1 (Zaremba et al., arXiv
/// 1409.2329); norms: scale 1, shift 0. A tied tensor follows its first use. Opaque: 0.
std::vector<float> initial_parameters(const Model& model, std::uint64_t seed);

}  // namespace paceline
