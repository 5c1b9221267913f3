#include "models/network/layer_shapes.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

using kernels::ImageShape;
using kernels::LayerShape;

kernels::Window window(Extent kernel, Extent stride, Extent padding) {
  return {kernel.height, kernel.width, stride.height, stride.width, padding.height, padding.width};
}

// One overload per alternative of Attributes.
struct ShapeOf {
  const Model& model;
  const Operation& op;
  std::int64_t batch;
  const kernels::Dims& input_dims;

  [[nodiscard]] const Operation& in(std::size_t i = 0) const {
    return model.operations()[op.inputs[i]];
  }
  // A vector counts as an image of one pixel.
  [[nodiscard]] ImageShape image() const {
    const std::vector<std::int64_t>& shape = in().output_shape;
    return {batch, shape[0], shape.size() > 1 ? shape[1] : 1, shape.size() > 2 ? shape[2] : 1};
  }
  [[nodiscard]] std::int64_t rows() const {
    return batch * in().output_elements() / in().output_shape.back();
  }
  [[noreturn]] void refuse() const {
    throw InputError(fmt::format("no layer executes the kind {} yet", to_string(op.kind)));
  }

  LayerShape operator()(const ConvAttributes& a) const {
    return kernels::Conv2dShape{.input = image(),
                                .channels = a.channels,
                                .window = window(a.kernel, a.stride, a.padding),
                                .groups = a.groups,
                                .bias = a.bias};
  }
  LayerShape operator()(const DenseAttributes& a) const {
    return kernels::DenseShape{rows(), in().output_shape.back(), a.features, a.bias};
  }
  LayerShape operator()(const NormAttributes& a) const {
    if (op.kind == OpKind::layer_norm)
      return kernels::LayerNormShape{rows(), in().output_shape.back(), a.epsilon};
    return kernels::BatchNormShape{.input = image(), .epsilon = a.epsilon, .momentum = a.momentum};
  }
  LayerShape operator()(const PoolAttributes& a) const {
    return kernels::PoolShape{
        .input = image(),
        .window = window(a.kernel, a.stride, a.padding),
        .kind = op.kind == OpKind::max_pool ? kernels::PoolKind::max : kernels::PoolKind::average,
        .ceil_mode = a.ceil_mode,
        .count_padding = a.count_padding};
  }
  LayerShape operator()(const LrnAttributes& a) const {
    return kernels::LrnShape{image(), a.size, a.alpha, a.beta, a.k};
  }
  LayerShape operator()(const DropoutAttributes& a) const {
    return kernels::DropoutShape{input_dims, a.p};
  }
  LayerShape operator()(const SubsampleAttributes& a) const {
    return kernels::SubsamplePadShape{image(), a.channels, a.stride};
  }
  LayerShape operator()(const EmbeddingAttributes& a) const {
    return kernels::EmbeddingShape{batch * in().output_elements(), a.entries, a.features};
  }
  LayerShape operator()(const LstmAttributes& a) const {
    return kernels::LstmShape{batch, in().output_shape[0], in().output_shape[1], a.hidden,
                              static_cast<int>(a.biases)};
  }
  LayerShape operator()(const LossAttributes&) const {
    return kernels::SoftmaxLossShape{rows(), in().output_shape.back()};
  }
  LayerShape operator()(std::monostate) const {
    using kernels::PointwiseFunction;
    switch (op.kind) {
      case OpKind::relu:
        return kernels::PointwiseShape{input_dims, PointwiseFunction::relu};
      case OpKind::tanh:
        return kernels::PointwiseShape{input_dims, PointwiseFunction::tanh};
      case OpKind::sigmoid:
        return kernels::PointwiseShape{input_dims, PointwiseFunction::sigmoid};
      case OpKind::gelu:
        return kernels::PointwiseShape{input_dims, PointwiseFunction::gelu};
      case OpKind::global_avg_pool:
        return kernels::global_average(image());
      case OpKind::add:
        return kernels::AddShape{input_dims, static_cast<std::int64_t>(op.inputs.size())};
      case OpKind::concat: {
        const ImageShape first = image();
        kernels::ConcatShape shape{batch, {}, first.height, first.width};
        for (std::size_t i = 0; i < op.inputs.size(); ++i)
          shape.channels.push_back(in(i).output_shape[0]);
        return shape;
      }
      default:
        refuse();
    }
  }
  LayerShape operator()(const AttentionAttributes&) const { refuse(); }
  LayerShape operator()(const OpaqueAttributes&) const { refuse(); }
  LayerShape operator()(const InputAttributes&) const { refuse(); }
};

}  // namespace

LayerShape layer_shape(const Model& model, std::size_t index, std::int64_t batch,
                       const kernels::Dims& input) {
  const Operation& op = model.operations()[index];
  try {
    LayerShape shape = std::visit(ShapeOf{model, op, batch, input}, op.attributes);
    if (auto* dropout = std::get_if<kernels::DropoutShape>(&shape)) dropout->layer = index;
    kernels::check_shape(shape);
    if (op.kind != OpKind::softmax_loss &&
        kernels::elements(kernels::output_dims(shape)) != batch * op.output_elements())
      throw std::logic_error("layer and graph disagree about the output of '" + op.name + "'");
    return shape;
  } catch (const InputError& error) {
    throw InputError(fmt::format("model '{}', operation '{}' cannot be executed: {}", model.name(),
                                 op.name, error.what()));
  }
}

}  // namespace paceline
