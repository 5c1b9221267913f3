#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/operation.hpp"

namespace paceline {

/// A learnable tensor of a model and the operations that use it: one, or several if the weight is
/// tied.
struct ModelTensor : ParameterTensor {
  std::vector<std::size_t> operations;  ///< in forward order; the first one owns it
  bool operator==(const ModelTensor&) const = default;
};

/// A network: operations in forward execution order (each after its inputs). Immutable; made by
/// GraphBuilder, make_model() or load_model().
class Model {
 public:
  [[nodiscard]] const std::string& name() const { return name_; }    ///< "resnet50"
  [[nodiscard]] const std::string& title() const { return title_; }  ///< "ResNet-50"
  /// Which variant this is: auxiliary heads, shortcuts, biases, tied weights, sequence length.
  [[nodiscard]] const std::string& notes() const { return notes_; }

  [[nodiscard]] const std::vector<Operation>& operations() const { return operations_; }
  /// Every learnable tensor once, in the forward order of its first use.
  [[nodiscard]] const std::vector<ModelTensor>& tensors() const { return tensors_; }
  /// Indices into tensors() of the parameters of operation `i`, in their order there.
  [[nodiscard]] const std::vector<std::size_t>& tensors_of(std::size_t i) const {
    return tensors_of_[i];
  }
  /// Operations that read the output of operation `i`, ascending; `add(x, x)` counts twice.
  [[nodiscard]] const std::vector<std::size_t>& consumers_of(std::size_t i) const {
    return consumers_[i];
  }
  /// Index of the operation; throws InputError with the nearest name.
  [[nodiscard]] std::size_t operation_index(std::string_view name) const;

  [[nodiscard]] std::int64_t parameters() const;  ///< total number of elements of tensors()
  /// Multiply-accumulates of the forward convolutions, linear layers, LSTMs and attention, per
  /// sample.
  [[nodiscard]] double forward_macs() const;
  [[nodiscard]] double forward_flops() const;  ///< per sample, all operations
  [[nodiscard]] double backward_flops()
      const;  ///< per sample, both backward passes of all operations
  /// Activations that must be kept from the forward to the backward pass, per sample, in elements:
  /// each buffer once, however many operations want it; dropout masks count a quarter (one byte).
  [[nodiscard]] double activation_elements() const;

  [[nodiscard]] const std::vector<std::int64_t>& input_shape()
      const;  ///< of the first input; {} if none
  [[nodiscard]] std::int64_t classes()
      const;  ///< of the (last non-auxiliary) loss; 0 if there is none
  [[nodiscard]] std::int64_t time_steps() const;  ///< tokens per sample of a sequence model, else 1
  [[nodiscard]] bool has_auxiliary_heads() const;
  /// Every operation can be executed: none is opaque.
  [[nodiscard]] bool executable() const;

  bool operator==(const Model&) const = default;

 private:
  friend class GraphBuilder;
  Model() = default;

  std::string name_, title_, notes_;
  std::vector<Operation> operations_;
  std::vector<ModelTensor> tensors_;
  std::vector<std::vector<std::size_t>> tensors_of_;
  std::vector<std::vector<std::size_t>> consumers_;
};

/// The operations that have a backward pass, in the order in which they run it: the reverse of the
/// forward execution order, which is what an autograd tape does. An operation follows all its
/// consumers.
std::vector<std::size_t> backward_order(const Model& model);

/// What becomes complete when one operation has run its backward pass.
struct GradientEvent {
  std::size_t operation;
  std::vector<std::size_t>
      tensors;  ///< indices into Model::tensors(); weight and bias come at once
  bool operator==(const GradientEvent&) const = default;
};
/// One event per element of backward_order(), in that order. A tied tensor is complete only with
/// the last backward pass of its users.
std::vector<GradientEvent> gradient_events(const Model& model);

/// Estimate of the memory that training needs: weights, gradients and `optimizer_slots` more copies
/// of the parameters (momentum: 1, Adam: 2), plus batch * activation_elements(). Left out:
/// workspaces of the kernels, transient buffers, the allocator's fragmentation and the framework's
/// context - so it is a lower estimate. Throws InputError if batch < 1.
double training_memory_bytes(const Model& model, std::int64_t batch, int optimizer_slots,
                             double bytes_per_element = 4);

/// Builds a model one operation at a time. Each call returns the operation's index, to be named as
/// input by later ones; parameters are called "<operation>.weight" and so on. Shapes, parameters,
/// FLOPs and bytes are inferred; what cannot be (zero channels, a window larger than its image,
/// unequal shapes at an add, a name used twice) throws InputError naming the operation.
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name, std::string title = "", std::string notes = "");

  std::size_t add_operation(std::string name, std::vector<std::size_t> inputs,
                            Attributes attributes);

  // The most usual ones, for short.
  std::size_t input(std::string name, std::vector<std::int64_t> shape, std::int64_t entries = 0);
  std::size_t conv2d(std::string name, std::size_t x, Conv2dOp op);
  std::size_t dense(std::string name, std::size_t x, DenseOp op);
  std::size_t batch_norm(std::string name, std::size_t x, BatchNormOp op = {});
  std::size_t layer_norm(std::string name, std::size_t x, LayerNormOp op = {});
  std::size_t relu(std::string name, std::size_t x);
  std::size_t max_pool(std::string name, std::size_t x, MaxPoolOp op);
  std::size_t avg_pool(std::string name, std::size_t x, AvgPoolOp op);
  std::size_t global_avg_pool(std::string name, std::size_t x);
  std::size_t lrn(std::string name, std::size_t x, LrnOp op = {});
  std::size_t add(std::string name, std::vector<std::size_t> inputs);
  std::size_t concat(std::string name, std::vector<std::size_t> inputs);
  std::size_t dropout(std::string name, std::size_t x, double p = 0.5);
  std::size_t flatten(std::string name, std::size_t x);
  std::size_t softmax_loss(std::string name, std::size_t x, double weight = 1);

  /// What is added from now on does or does not belong to heads used in training only.
  void auxiliary(bool on) { auxiliary_ = on; }
  [[nodiscard]] const std::string& name() const { return model_.name_; }
  [[nodiscard]] const Operation& operation(std::size_t i) const { return model_.operations_[i]; }
  /// Finishes; the builder is empty afterwards. Throws InputError if there is no operation, or if
  /// in a model with losses some operation leads to none. Without any loss every loose end counts
  /// as an output, and the backward pass starts there.
  Model build();

 private:
  void refuse_loose_ends() const;
  void register_tensors(const Operation& op, std::size_t index);
  void register_tensor(const ParameterTensor& parameter, bool tied, std::size_t index);

  Model model_;
  std::unordered_map<std::string, std::size_t> operation_names_, tensor_names_;
  bool auxiliary_ = false;
};

}  // namespace paceline
