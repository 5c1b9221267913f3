#include "models/operation_costs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"

namespace paceline {
namespace {

const TensorShape kNoShape;

double elements(const TensorShape& shape) {
  return static_cast<double>(element_count(shape));
}

Sizes sizes_of(const Operation& op, const std::vector<const Operation*>& inputs) {
  Sizes s{inputs.empty() ? kNoShape : inputs[0]->output_shape, op.output_shape};
  for (const Operation* input : inputs) {
    s.in += elements(input->output_shape);
    if (input->needs_gradient) s.in_gradient += elements(input->output_shape);
  }
  s.out = elements(op.output_shape);
  s.parameters = static_cast<double>(op.parameter_elements());
  return s;
}

Arity arity_of(const Operation& op) {
  return std::visit(
      [](const auto& a) {
        if constexpr (requires { a.arity; })
          return a.arity;
        else
          return Arity{};
      },
      op.attributes);
}

void check_inputs(const Operation& op, const std::vector<const Operation*>& inputs) {
  const auto [least, most] = arity_of(op);
  if (inputs.size() < least || inputs.size() > most)
    throw InputError(fmt::format("{} takes {}{} input(s), found {}", to_string(op.kind()), least,
                                 most == SIZE_MAX ? " or more"
                                 : most > least   ? fmt::format(" or {}", most)
                                                  : "",
                                 inputs.size()));
  for (const Operation* input : inputs) {
    if (input->is<SoftmaxLossOp>())
      throw InputError(fmt::format("reads '{}', a loss, which nothing may follow", input->name));
    const auto* source = std::get_if<InputOp>(&input->attributes);
    if (source != nullptr && source->entries > 0 && !op.is<EmbeddingOp>())
      throw InputError(
          fmt::format("'{}' gives token numbers, which only an embedding reads", input->name));
    if (input->is<OpaqueOp>() != op.is<OpaqueOp>())
      throw InputError("opaque operations form a chain of their own");
  }
}

}  // namespace

void infer_shape(Operation& operation, const std::vector<const Operation*>& inputs) {
  check_inputs(operation, inputs);
  operation.parameters.clear();
  Inference inference(operation, inputs);
  std::visit([&](const auto& a) { a.infer(inference); }, operation.attributes);
  inference.finish();
}

void set_costs(Operation& op, const std::vector<const Operation*>& inputs) {
  const Sizes s = sizes_of(op, inputs);
  const bool propagates = std::any_of(inputs.begin(), inputs.end(),
                                      [](const Operation* input) { return input->needs_gradient; });
  op.needs_gradient = propagates || !op.parameters.empty();
  OpCosts& costs = op;
  costs = std::visit([&](const auto& a) { return a.costs(s); }, op.attributes);
  if (!propagates) {
    op.backward_data_flops = 0;
    op.backward_bytes = op.backward_weight_bytes;
  }
}

void add_fan_out_costs(Operation& op, std::size_t consumers) {
  if (consumers < 2 || !op.needs_gradient) return;
  const double sums = static_cast<double>(consumers - 1) * elements(op.output_shape);
  op.backward_data_flops += sums;
  op.backward_bytes += kElementBytes * 3 * sums;
}

KeptForBackward kept_for_backward(const Operation& op,
                                  const std::vector<const Operation*>& inputs) {
  if (!op.needs_gradient) return {};
  const Sizes s = sizes_of(op, inputs);
  return std::visit([&](const auto& a) { return a.kept(s); }, op.attributes);
}

}  // namespace paceline
