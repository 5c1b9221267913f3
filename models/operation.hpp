#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace paceline {

/// What an operation computes. Images are [channels, height, width], sequences [steps, features]
/// or, as token numbers, [steps]; the batch dimension comes first in execution and is never written
/// here.
enum class OpKind {
  input,       ///< what the data set delivers: real values, or token numbers
  conv2d,      ///< [C,H,W] -> [channels,H',W']; weight [channels, C/groups, kh, kw]
  dense,       ///< [..., C] -> [..., features]; weight [features, C]
  batch_norm,  ///< over batch, height and width, per channel
  layer_norm,  ///< over the last dimension
  relu,
  tanh,
  sigmoid,
  gelu,
  max_pool,
  avg_pool,
  global_avg_pool,  ///< [C,H,W] -> [C]
  lrn,              ///< local response normalisation across channels (AlexNet, GoogLeNet)
  add,              ///< sum of two or more inputs of equal shape
  concat,           ///< along the first dimension (channels)
  dropout,
  flatten,        ///< [C,H,W] -> [C*H*W]; a view, nothing moves
  subsample_pad,  ///< option-A shortcut of CIFAR ResNets: every stride-th pixel, new channels zero
  first_step,     ///< [T,C] -> [C], the first position (BERT's [CLS])
  embedding,      ///< token numbers [T] -> [T, features]; weight [entries, features]
  lstm,           ///< one layer: [T,C] -> [T, hidden]; weights [4*hidden, C] and [4*hidden, hidden]
  attention,      ///< softmax(Q K^T / sqrt(C/heads)) V of inputs Q, K, V, each [T,C]
  softmax_loss,  ///< softmax and cross-entropy over the last dimension, mean over the others -> [1]
  opaque,        ///< parameters only, for models whose times are given; cannot be executed
};

std::string to_string(OpKind kind);
/// Throws InputError with the nearest name.
OpKind op_kind_from_string(std::string_view name);
std::vector<std::string> op_kind_names();

/// Height and width of a window, its stride or its padding; one number means both.
struct Extent {
  std::int64_t height = 1;
  std::int64_t width = 1;
  constexpr Extent(std::int64_t both = 1) : height(both), width(both) {}  // NOLINT: `.kernel = 3`
  constexpr Extent(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  bool operator==(const Extent&) const = default;
};

struct InputAttributes {
  std::vector<std::int64_t> shape;
  std::int64_t entries = 0;  ///< token numbers run from 0 to entries-1; 0: real values
  bool operator==(const InputAttributes&) const = default;
};
struct ConvAttributes {
  std::int64_t channels = 0;  ///< of the output
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  std::int64_t groups = 1;
  bool bias = true;
  bool operator==(const ConvAttributes&) const = default;
};
struct DenseAttributes {
  std::int64_t features = 0;  ///< of the output
  bool bias = true;
  std::string tied_to =
      "";  ///< an earlier operation's tensor that serves as the weight ("" : own weight)
  bool operator==(const DenseAttributes&) const = default;
};
struct NormAttributes {
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< of the running statistics (batch_norm only), as PyTorch counts it
  bool operator==(const NormAttributes&) const = default;
};
struct PoolAttributes {
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  bool ceil_mode = false;     ///< Caffe's rounding: a last, partial window is kept
  bool count_padding = true;  ///< avg_pool: padded zeros count in the mean
  bool operator==(const PoolAttributes&) const = default;
};
/// y = x / (k + alpha/size * sum of squares over `size` neighbouring channels)^beta
struct LrnAttributes {
  std::int64_t size = 5;
  double alpha = 1e-4;
  double beta = 0.75;
  double k = 1;
  bool operator==(const LrnAttributes&) const = default;
};
struct DropoutAttributes {
  double p = 0.5;  ///< probability of zeroing; the rest is scaled by 1/(1-p)
  bool operator==(const DropoutAttributes&) const = default;
};
struct SubsampleAttributes {
  std::int64_t channels =
      0;  ///< of the output; the new ones are split evenly before and after the old
  std::int64_t stride = 2;
  bool operator==(const SubsampleAttributes&) const = default;
};
struct EmbeddingAttributes {
  std::int64_t entries = 0;
  std::int64_t features = 0;
  bool operator==(const EmbeddingAttributes&) const = default;
};
/// Gates in PyTorch's order i, f, g, o. With two biases (PyTorch, cuDNN) their sum acts.
struct LstmAttributes {
  std::int64_t hidden = 0;
  std::int64_t biases = 2;
  bool operator==(const LstmAttributes&) const = default;
};
struct AttentionAttributes {
  std::int64_t heads = 1;
  double dropout = 0;  ///< on the softmax
  bool causal = false;
  bool operator==(const AttentionAttributes&) const = default;
};
struct LossAttributes {
  double weight = 1;  ///< in the sum of the model's losses (auxiliary heads: 0.3 or 0.4)
  bool operator==(const LossAttributes&) const = default;
};
/// Declared, per sample: the backward pass is taken as twice the FLOPs and bytes of the forward
/// pass.
struct OpaqueAttributes {
  std::int64_t elements = 0;
  double flops = 0;
  double bytes = 0;
  bool operator==(const OpaqueAttributes&) const = default;
};
using Attributes = std::variant<std::monostate, InputAttributes, ConvAttributes, DenseAttributes,
                                NormAttributes, PoolAttributes, LrnAttributes, DropoutAttributes,
                                SubsampleAttributes, EmbeddingAttributes, LstmAttributes,
                                AttentionAttributes, LossAttributes, OpaqueAttributes>;

/// The attributes of `kind` at their defaults: which alternative of Attributes belongs to it.
Attributes default_attributes(OpKind kind);

/// A learnable tensor, named as PyTorch does: "layer1.0.conv1.weight".
struct ParameterTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  [[nodiscard]] std::int64_t elements() const;
  bool operator==(const ParameterTensor&) const = default;
};

/// One node of a model. Sizes, FLOPs and bytes are per ONE sample (image or sequence): multiply by
/// the batch, except `parameter_bytes` and `gradient_bytes`, which occur once per batch.
/// operation_costs.hpp has the rules.
struct Operation {
  std::string name;
  OpKind kind = OpKind::input;
  std::vector<std::size_t> inputs;  ///< indices of earlier operations
  Attributes attributes;
  bool auxiliary = false;  ///< a head used in training only

  std::vector<std::int64_t> output_shape;
  std::vector<ParameterTensor>
      parameters;  ///< a tied weight appears under the name of its first owner
  /// Its output depends on a parameter: only then has it a backward pass.
  bool needs_gradient = false;

  double macs = 0;  ///< multiply-accumulates of the forward matrix products and convolutions
  double forward_flops = 0;
  double backward_data_flops = 0;    ///< gradient of the inputs; 0 if no input needs one
  double backward_weight_flops = 0;  ///< gradient of the parameters
  double forward_bytes = 0;          ///< activations read and written, fp32
  double backward_bytes = 0;         ///< both backward passes
  double backward_weight_bytes = 0;  ///< the part of backward_bytes due to the parameters' gradient
  double parameter_bytes = 0;        ///< parameters read, in the forward and again in the data pass
  double gradient_bytes = 0;         ///< parameter gradients written

  [[nodiscard]] std::int64_t output_elements() const;
  [[nodiscard]] std::int64_t parameter_elements() const;
  bool operator==(const Operation&) const = default;
};

/// Product of the dimensions.
std::int64_t element_count(const std::vector<std::int64_t>& shape);
/// "[64, 56, 56]"
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace paceline
