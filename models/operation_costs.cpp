#include "models/operation_costs.hpp"

#include <algorithm>

namespace paceline {
namespace {

constexpr double kBytes = 4;  // fp32

/// Sizes of one operation in elements, as floating point: FLOP counts exceed 2^63 only in nonsense,
/// but their products with a batch should not wrap either.
struct Sizes {
  double in = 0;           ///< all inputs
  double in_gradient = 0;  ///< of those, the ones that need a gradient
  double out = 0;
  double parameters = 0;
};

double elements(const std::vector<std::int64_t>& shape) {
  return static_cast<double>(element_count(shape));
}

Sizes sizes_of(const Operation& op, const std::vector<const Operation*>& inputs) {
  Sizes s;
  for (const Operation* input : inputs) {
    s.in += elements(input->output_shape);
    if (input->needs_gradient) s.in_gradient += elements(input->output_shape);
  }
  s.out = elements(op.output_shape);
  s.parameters = static_cast<double>(op.parameter_elements());
  return s;
}

/// Convolutions and linear layers: three matrix products of M MACs.
void matrix_costs(Operation& op, const Sizes& s, double macs, bool bias) {
  op.macs = macs;
  op.forward_flops = 2 * macs + (bias ? s.out : 0);
  op.backward_data_flops = 2 * macs;
  op.backward_weight_flops = 2 * macs + (bias ? s.out : 0);
  op.forward_bytes = kBytes * (s.in + s.out);
  op.backward_weight_bytes = kBytes * (s.in + s.out);
  op.backward_bytes = op.backward_weight_bytes + kBytes * (s.out + s.in_gradient);
}

/// FLOPs per element of the output; `reads` and `writes` in elements.
void element_costs(Operation& op, const Sizes& s, double forward, double backward,
                   double forward_elements, double backward_elements) {
  op.forward_flops = forward * s.out;
  op.backward_data_flops = backward * s.out;
  op.forward_bytes = kBytes * forward_elements;
  op.backward_bytes = kBytes * backward_elements;
}

void norm_costs(Operation& op, const Sizes& s) {
  const bool batch = op.kind == OpKind::batch_norm;
  op.forward_flops = 8 * s.out;
  op.backward_data_flops = 5 * s.out;
  op.backward_weight_flops = 5 * s.out;
  op.forward_bytes = kBytes * ((batch ? 2 : 1) * s.in + s.out);
  // Sums over x and dy first (they are the parameters' gradient), then dx; a layer norm keeps its
  // row on chip.
  op.backward_weight_bytes = kBytes * 2 * s.out;
  op.backward_bytes = op.backward_weight_bytes + kBytes * (batch ? 3 : 1) * s.out;
}

void pool_costs(Operation& op, const PoolAttributes& a, const Sizes& s) {
  const double window = static_cast<double>(a.kernel.height * a.kernel.width);
  const bool max = op.kind == OpKind::max_pool;
  element_costs(op, s, window, max ? 1 : window, s.in + s.out, (max ? 2 * s.in : s.in) + s.out);
}

void lstm_costs(Operation& op, const LstmAttributes& a, const Operation& input, const Sizes& s) {
  const auto steps = static_cast<double>(op.output_shape[0]);
  const auto hidden = static_cast<double>(a.hidden);
  const auto biases = static_cast<double>(a.biases);
  const double input_weights = 4 * hidden * static_cast<double>(input.output_shape[1]);
  const double recurrent_weights = 4 * hidden * hidden;
  op.macs = steps * (input_weights + recurrent_weights);
  op.forward_flops = 2 * op.macs + steps * hidden * (9 + 4 * biases);
  op.backward_data_flops = 2 * op.macs + 22 * steps * hidden;
  op.backward_weight_flops = 2 * op.macs + 4 * biases * steps * hidden;
  const double gates_and_cell = 5 * s.out;
  op.forward_bytes = kBytes * (s.in + s.out + gates_and_cell);
  op.backward_weight_bytes = kBytes * (s.in + s.out + 4 * s.out);
  op.backward_bytes =
      op.backward_weight_bytes + kBytes * (gates_and_cell + s.out + 4 * s.out + s.in_gradient);
  op.parameter_bytes = kBytes * (input_weights + steps * recurrent_weights + 4 * biases * hidden);
}

void attention_costs(Operation& op, const AttentionAttributes& a, const Sizes& s) {
  const auto steps = static_cast<double>(op.output_shape[0]);
  const double scores = static_cast<double>(a.heads) * steps * steps;
  op.macs = 2 * steps * steps * static_cast<double>(op.output_shape[1]);
  op.forward_flops = 2 * op.macs + 5 * scores;
  op.backward_data_flops = 4 * op.macs + 4 * scores;
  op.forward_bytes = kBytes * (s.in + s.out + scores);
  op.backward_bytes = kBytes * (s.in + s.out + scores + s.in_gradient);
}

double convolution_macs(const Operation& op) {
  const std::vector<std::int64_t>& weight = op.parameters[0].shape;
  return elements(op.output_shape) * static_cast<double>(weight[1] * weight[2] * weight[3]);
}

void matrix_costs(Operation& op, const Operation& input, const Sizes& s) {
  if (const auto* conv = std::get_if<ConvAttributes>(&op.attributes))
    return matrix_costs(op, s, convolution_macs(op), conv->bias);
  const double features = static_cast<double>(input.output_shape.back());
  matrix_costs(op, s, s.out * features, std::get<DenseAttributes>(op.attributes).bias);
}

void other_costs(Operation& op, const Sizes& s) {
  const double in = s.in, out = s.out;
  switch (op.kind) {
    case OpKind::relu:
      return element_costs(op, s, 1, 1, in + out, 3 * out);
    case OpKind::tanh:
      return element_costs(op, s, 1, 3, in + out, 3 * out);
    case OpKind::sigmoid:
      return element_costs(op, s, 3, 3, in + out, 3 * out);
    case OpKind::gelu:
      return element_costs(op, s, 4, 8, in + out, 3 * out);
    case OpKind::lrn: {
      // Running sum of squares over the channels: square, add, subtract; then scale, shift, power,
      // multiply.
      return element_costs(op, s, 7, 10, in + 2 * out, 4 * out + in);
    }
    case OpKind::global_avg_pool: {
      element_costs(op, s, 1, 1, in + out, in + out);
      op.forward_flops = op.backward_data_flops = in;
      return;
    }
    // The gradient of a sum is handed on as it is; add_fan_out_costs() counts where it is summed
    // again.
    case OpKind::add:
      return element_costs(op, s, in / out - 1, 0, in + out, 0);
    case OpKind::concat:
      return element_costs(op, s, 0, 0, in + out, out + s.in_gradient);
    case OpKind::dropout:
      return element_costs(op, s, 2, 2, in + 1.25 * out, 2.25 * out);
    case OpKind::subsample_pad:
    case OpKind::first_step:
      return element_costs(op, s, 0, 0, 2 * out, out + in);
    case OpKind::embedding: {
      element_costs(op, s, 0, 0, in + 2 * out, 0);
      op.backward_weight_flops = out;
      op.backward_weight_bytes = op.backward_bytes = kBytes * (in + out);
      op.parameter_bytes = 0;  // only the rows of the batch's tokens are read, counted above
      return;
    }
    case OpKind::softmax_loss: {
      // max, subtract, exp, add, divide; backward: subtract the label, scale.
      element_costs(op, s, 0, 0, 2 * in, 2 * in);
      op.forward_flops = 5 * in;
      op.backward_data_flops = 2 * in;
      return;
    }
    default:
      return;  // input, flatten: nothing is computed or moved
  }
}

}  // namespace

void set_costs(Operation& op, const std::vector<const Operation*>& inputs) {
  const Sizes s = sizes_of(op, inputs);
  const bool propagates = std::any_of(inputs.begin(), inputs.end(),
                                      [](const Operation* input) { return input->needs_gradient; });
  op.needs_gradient = propagates || !op.parameters.empty();
  op.parameter_bytes = op.gradient_bytes = kBytes * s.parameters;

  if (op.kind == OpKind::conv2d || op.kind == OpKind::dense) {
    matrix_costs(op, *inputs[0], s);
  } else if (std::holds_alternative<NormAttributes>(op.attributes)) {
    norm_costs(op, s);
  } else if (const auto* pool = std::get_if<PoolAttributes>(&op.attributes)) {
    pool_costs(op, *pool, s);
  } else if (const auto* lstm = std::get_if<LstmAttributes>(&op.attributes)) {
    lstm_costs(op, *lstm, *inputs[0], s);
  } else if (const auto* attention = std::get_if<AttentionAttributes>(&op.attributes)) {
    attention_costs(op, *attention, s);
  } else if (const auto* opaque = std::get_if<OpaqueAttributes>(&op.attributes)) {
    op.forward_flops = op.backward_data_flops = op.backward_weight_flops = opaque->flops;
    op.forward_bytes = op.backward_weight_bytes = opaque->bytes;
    op.backward_bytes = 2 * opaque->bytes;
  } else {
    other_costs(op, s);
  }
  if (!propagates) {
    op.backward_data_flops = 0;
    op.backward_bytes = op.backward_weight_bytes;
  }
}

void add_fan_out_costs(Operation& op, std::size_t consumers) {
  if (consumers < 2 || !op.needs_gradient) return;
  const double sums = static_cast<double>(consumers - 1) * elements(op.output_shape);
  op.backward_data_flops += sums;
  op.backward_bytes += kBytes * 3 * sums;
}

KeptForBackward kept_for_backward(const Operation& op,
                                  const std::vector<const Operation*>& inputs) {
  const Sizes s = sizes_of(op, inputs);
  if (!op.needs_gradient) return {};
  switch (op.kind) {
    case OpKind::conv2d:
    case OpKind::dense:
    case OpKind::batch_norm:
    case OpKind::layer_norm:
    case OpKind::gelu:
    case OpKind::embedding:
      return {.inputs = true};
    case OpKind::relu:
    case OpKind::tanh:
    case OpKind::sigmoid:
      return {.output = true};
    case OpKind::max_pool:
    case OpKind::lrn:
      return {.inputs = true, .extra_elements = s.out};
    case OpKind::dropout:
      return {.extra_elements = 0.25 * s.out};
    case OpKind::lstm:
      return {.inputs = true, .output = true, .extra_elements = 5 * s.out};
    case OpKind::attention: {
      const auto steps = static_cast<double>(op.output_shape[0]);
      const auto& a = std::get<AttentionAttributes>(op.attributes);
      return {.inputs = true,
              .extra_elements =
                  static_cast<double>(a.heads) * steps * steps * (a.dropout > 0 ? 1.25 : 1)};
    }
    case OpKind::softmax_loss:
      return {.extra_elements = s.in};
    default:
      return {};  // views, sums, means, copies: their backward pass needs no values
  }
}

}  // namespace paceline
