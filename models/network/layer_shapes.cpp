#include "models/network/layer_shapes.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

using kernels::LayerShape;

LayerShape shape_of(const Operation& op, const BatchedInputs& inputs) {
  return std::visit(
      [&](const auto& a) -> LayerShape {
        if constexpr (requires { a.layer(inputs); })
          return a.layer(inputs);
        else
          throw InputError(fmt::format("no layer executes the kind {} yet", to_string(op.kind())));
      },
      op.attributes);
}

}  // namespace

LayerShape layer_shape(const Model& model, std::size_t index, std::int64_t batch,
                       const kernels::Dims& input) {
  const Operation& op = model.operations()[index];
  try {
    BatchedInputs inputs{batch, index, input};
    for (const std::size_t i : op.inputs)
      inputs.shapes.push_back(&model.operations()[i].output_shape);
    LayerShape shape = shape_of(op, inputs);
    kernels::check_shape(shape);
    if (!op.is<SoftmaxLossOp>() &&
        kernels::elements(kernels::output_dims(shape)) != batch * op.output_elements())
      throw std::logic_error("layer and graph disagree about the output of '" + op.name + "'");
    return shape;
  } catch (const InputError& error) {
    throw InputError(fmt::format("model '{}', operation '{}' cannot be executed: {}", model.name(),
                                 op.name, error.what()));
  }
}

}  // namespace paceline
