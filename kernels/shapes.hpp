#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "kernels/layer.hpp"

// The shape of every layer we can execute: a plain struct that says all a backend must know to make
// it. `batch` and `rows` count samples. The formulas stand in the reference implementation of each
// layer (conv2d.hpp, batch_norm.hpp, ...).
namespace paceline::kernels {

struct ImageShape {
  std::int64_t batch = 1, channels = 1, height = 1, width = 1;
  [[nodiscard]] std::int64_t pixels() const { return height * width; }
  [[nodiscard]] std::int64_t elements() const { return batch * channels * pixels(); }
  [[nodiscard]] Dims dims() const { return {batch, channels, height, width}; }
  bool operator==(const ImageShape&) const = default;
};

struct Window {
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride_height = 1, stride_width = 1;
  std::int64_t pad_height = 0, pad_width = 0;  ///< zeros on each side
  bool operator==(const Window&) const = default;
};
constexpr Window square_window(std::int64_t kernel, std::int64_t stride = 1, std::int64_t pad = 0) {
  return {kernel, kernel, stride, stride, pad, pad};
}

/// Parameters: weight [channels, input.channels/groups, kernel_height, kernel_width], bias
/// [channels].
struct Conv2dShape {
  ImageShape input = {};
  std::int64_t channels = 1;  ///< of the output
  Window window = {};
  std::int64_t groups = 1;
  bool bias = false;
  [[nodiscard]] ImageShape output() const;
  bool operator==(const Conv2dShape&) const = default;
};

/// [rows, inputs] -> [rows, outputs]; an input of other dimensions is read as if flattened.
/// Parameters: weight [outputs, inputs], bias [outputs].
struct DenseShape {
  std::int64_t rows = 1, inputs = 1, outputs = 1;
  bool bias = true;
  bool operator==(const DenseShape&) const = default;
};

/// Parameters: scale [channels], shift [channels]. State: running mean, running variance [channels]
/// each.
struct BatchNormShape {
  ImageShape input = {};
  double epsilon = 1e-5;
  double momentum =
      0.1;            ///< weight of the new value in the running statistics, as PyTorch counts it
  bool relu = false;  ///< apply ReLU to the result: saves a pass through memory
  bool operator==(const BatchNormShape&) const = default;
};

/// Over each row. Parameters: scale [features], shift [features].
struct LayerNormShape {
  std::int64_t rows = 1, features = 1;
  double epsilon = 1e-5;
  bool operator==(const LayerNormShape&) const = default;
};

/// gelu is the exact one, x*Phi(x).
enum class PointwiseFunction { relu, tanh, sigmoid, gelu };
struct PointwiseShape {
  Dims dims = {};
  PointwiseFunction function = PointwiseFunction::relu;
  bool operator==(const PointwiseShape&) const = default;
};

enum class PoolKind { max, average };
/// Global average pooling is the window that covers the image: global_average(input).
struct PoolShape {
  ImageShape input = {};
  Window window = {};
  PoolKind kind = PoolKind::max;
  bool ceil_mode = false;  ///< a last, partial window is kept if it starts inside image or padding
  bool count_padding = true;  ///< average: padded zeros inside the window count in the mean
  [[nodiscard]] ImageShape output() const;
  bool operator==(const PoolShape&) const = default;
};
PoolShape global_average(const ImageShape& input);

/// y = x / (k + alpha/size * sum of squares over `size` neighbouring channels)^beta
struct LrnShape {
  ImageShape input = {};
  std::int64_t size = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
  bool operator==(const LrnShape&) const = default;
};

/// Sum of two or more inputs of equal dimensions.
struct AddShape {
  Dims dims = {};
  std::int64_t inputs = 2;
  bool relu = false;  ///< apply ReLU to the sum: saves a pass through memory
  bool operator==(const AddShape&) const = default;
};

/// Inputs [batch, channels_i, height, width] side by side along the channels.
struct ConcatShape {
  std::int64_t batch = 1;
  std::vector<std::int64_t> channels = {};  ///< of each input
  std::int64_t height = 1, width = 1;
  bool operator==(const ConcatShape&) const = default;
};

/// The same elements in row-major order under other dimensions (flatten).
struct ReshapeShape {
  Dims input = {}, output = {};
  bool operator==(const ReshapeShape&) const = default;
};

/// Option-A shortcut of CIFAR ResNets: every stride-th pixel; new channels are zero, half of them
/// (rounded down) before the old ones.
struct SubsamplePadShape {
  ImageShape input = {};
  std::int64_t channels = 1;  ///< of the output
  std::int64_t stride = 2;
  [[nodiscard]] ImageShape output() const;
  bool operator==(const SubsamplePadShape&) const = default;
};

/// Zeroes an element with probability p and scales the rest by 1/(1-p); in inference the identity.
/// Whether element i is kept depends on (seed of the pass, layer, i) alone.
struct DropoutShape {
  Dims dims = {};
  double probability = 0.5;
  std::uint64_t layer = 0;  ///< tells the dropout layers of a network apart
  bool operator==(const DropoutShape&) const = default;
};

/// Token numbers [rows] -> [rows, features]. Parameter: table [entries, features].
struct EmbeddingShape {
  std::int64_t rows = 1, entries = 1, features = 1;
  bool operator==(const EmbeddingShape&) const = default;
};

/// x [batch, steps, inputs] -> h [batch, steps, hidden]. Parameters in PyTorch's order, gates i, f,
/// g, o: weight [4*hidden, inputs], recurrent weight [4*hidden, hidden], then `biases` (0, 1 or 2)
/// vectors [4*hidden], whose sum acts. State: h then c, [batch, hidden] each; the gradient stops at
/// the first step (truncated back-propagation through time).
struct LstmShape {
  std::int64_t batch = 1, steps = 1, inputs = 1, hidden = 1;
  int biases = 2;
  bool operator==(const LstmShape&) const = default;
};

/// Inputs: logits [rows, classes] and labels [rows]. Output [2]: mean cross-entropy, and the number
/// of rows whose largest logit (the first of equal ones) is the label's. The gradient of the logits
/// is scaled by the first element of the output's gradient: 1, or the weight of an auxiliary head.
struct SoftmaxLossShape {
  std::int64_t rows = 1, classes = 2;
  bool operator==(const SoftmaxLossShape&) const = default;
};

using LayerShape =
    std::variant<Conv2dShape, DenseShape, BatchNormShape, LayerNormShape, PointwiseShape, PoolShape,
                 LrnShape, AddShape, ConcatShape, ReshapeShape, SubsamplePadShape, DropoutShape,
                 EmbeddingShape, LstmShape, SoftmaxLossShape>;

/// "conv2d", "dense", ...: the name of the layer, as in messages and profiles.
std::string layer_name(const LayerShape& shape);
std::vector<Dims> input_dims(const LayerShape& shape);
Dims output_dims(const LayerShape& shape);
/// The learnable tensors, in the order in which forward() and backward() take them.
std::vector<Dims> parameter_dims(const LayerShape& shape);
/// Size of ForwardPass::state; 0 for most layers.
std::int64_t state_elements(const LayerShape& shape);
/// The state before the first step: running variance 1, everything else 0.
std::vector<float> initial_state(const LayerShape& shape);
/// Throws InputError naming the layer and the field that makes no sense (channels not divisible by
/// groups, a window larger than its padded image, a negative extent, ...).
void check_shape(const LayerShape& shape);

}  // namespace paceline::kernels
