#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "models/operations/arrange.hpp"
#include "models/operations/attention.hpp"
#include "models/operations/batch_norm.hpp"
#include "models/operations/conv2d.hpp"
#include "models/operations/dense.hpp"
#include "models/operations/dropout.hpp"
#include "models/operations/embedding.hpp"
#include "models/operations/input.hpp"
#include "models/operations/layer_norm.hpp"
#include "models/operations/lrn.hpp"
#include "models/operations/lstm.hpp"
#include "models/operations/pointwise.hpp"
#include "models/operations/pool.hpp"
#include "models/operations/softmax_loss.hpp"
#include "models/operations/transformer.hpp"

namespace paceline {

/// The one list of what an operation can compute: names, model files, shapes, costs and layers all
/// come from it (operations/rules.hpp). Images are [channels, height, width], sequences [steps,
/// features] or, as token numbers, [steps]; the batch dimension comes first in execution and is
/// never written here.
using Attributes =
    std::variant<InputOp, Conv2dOp, DenseOp, BatchNormOp, LayerNormOp, ReluOp, TanhOp, SigmoidOp,
                 GeluOp, MaxPoolOp, AvgPoolOp, GlobalAvgPoolOp, LrnOp, AddOp, ConcatOp, DropoutOp,
                 FlattenOp, SubsamplePadOp, FirstStepOp, EmbeddingOp, LstmOp, AttentionOp,
                 SoftmaxLossOp, OpaqueOp, RmsNormOp, RotaryOp, SiluOp, MultiplyOp, PatchTokensOp>;

/// Which of them, as a number: op_kind<LstmOp>.
enum class OpKind : std::size_t {};
template <class Op, std::size_t I = 0>
constexpr OpKind position_in_attributes() {
  if constexpr (std::is_same_v<Op, std::variant_alternative_t<I, Attributes>>)
    return OpKind{I};
  else
    return position_in_attributes<Op, I + 1>();
}
template <class Op>
constexpr OpKind op_kind = position_in_attributes<Op>();

/// The name in model files.
std::string to_string(OpKind kind);
/// Throws InputError with the nearest name.
OpKind op_kind_from_string(std::string_view name);
std::vector<std::string> op_kind_names();
/// The attributes of `kind` at their defaults.
Attributes default_attributes(OpKind kind);

/// A learnable tensor, named as PyTorch does: "layer1.0.conv1.weight".
struct ParameterTensor {
  std::string name;
  TensorShape shape;
  [[nodiscard]] std::int64_t elements() const;
  bool operator==(const ParameterTensor&) const = default;
};

/// One node of a model. Sizes and costs are per ONE sample (image or sequence).
struct Operation : OpCosts {
  std::string name;
  std::vector<std::size_t> inputs;  ///< indices of earlier operations
  Attributes attributes;            ///< what it computes
  bool auxiliary = false;           ///< a head used in training only

  TensorShape output_shape;
  std::vector<ParameterTensor>
      parameters;  ///< a tied weight appears under the name of its first owner
  /// Its output depends on a parameter: only then has it a backward pass.
  bool needs_gradient = false;

  [[nodiscard]] OpKind kind() const { return OpKind{attributes.index()}; }
  template <class Op>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<Op>(attributes);
  }
  [[nodiscard]] std::int64_t output_elements() const;
  [[nodiscard]] std::int64_t parameter_elements() const;
  bool operator==(const Operation&) const = default;
};

}  // namespace paceline
