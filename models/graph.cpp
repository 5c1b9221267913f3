#include "models/graph.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "models/operation_costs.hpp"

namespace paceline {
namespace {

std::vector<const Operation*> inputs_of(const std::vector<Operation>& operations,
                                        const Operation& op) {
  std::vector<const Operation*> inputs;
  for (const std::size_t input : op.inputs) inputs.push_back(&operations[input]);
  return inputs;
}

}  // namespace

std::size_t Model::operation_index(std::string_view name) const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    if (operations_[i].name == name) return i;
    names.push_back(operations_[i].name);
  }
  throw InputError(fmt::format("model '{}': {}", name_, unknown_name("operation", name, names)));
}

std::int64_t Model::parameters() const {
  std::int64_t sum = 0;
  for (const ModelTensor& tensor : tensors_) sum += tensor.elements();
  return sum;
}

double Model::forward_macs() const {
  double sum = 0;
  for (const Operation& op : operations_) sum += op.macs;
  return sum;
}

double Model::forward_flops() const {
  double sum = 0;
  for (const Operation& op : operations_) sum += op.forward_flops;
  return sum;
}

double Model::backward_flops() const {
  double sum = 0;
  for (const Operation& op : operations_) sum += op.backward_data_flops + op.backward_weight_flops;
  return sum;
}

double Model::activation_elements() const {
  std::vector<bool> kept(operations_.size(), false);
  std::vector<std::size_t> buffer(
      operations_.size());  // whose buffer the output lies in: a view's is its input's
  double sum = 0;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const Operation& op = operations_[i];
    buffer[i] = op.is<FlattenOp>() ? buffer[op.inputs[0]] : i;
    const KeptForBackward keep = kept_for_backward(op, inputs_of(operations_, op));
    sum += keep.extra_elements;
    if (keep.output) kept[buffer[i]] = true;
    if (keep.inputs)
      for (const std::size_t input : op.inputs) kept[buffer[input]] = true;
  }
  for (std::size_t i = 0; i < operations_.size(); ++i)
    if (kept[i]) sum += static_cast<double>(operations_[i].output_elements());
  return sum;
}

const std::vector<std::int64_t>& Model::input_shape() const {
  static const std::vector<std::int64_t> none;
  for (const Operation& op : operations_)
    if (op.is<InputOp>()) return op.output_shape;
  return none;
}

std::int64_t Model::classes() const {
  for (auto op = operations_.rbegin(); op != operations_.rend(); ++op)
    if (op->is<SoftmaxLossOp>() && !op->auxiliary)
      return operations_[op->inputs[0]].output_shape.back();
  return 0;
}

std::int64_t Model::time_steps() const {
  const std::vector<std::int64_t>& shape = input_shape();
  const bool sequence =
      std::any_of(operations_.begin(), operations_.end(), [](const Operation& op) {
        return op.is<EmbeddingOp>() || op.is<LstmOp>() || op.is<AttentionOp>();
      });
  return sequence && !shape.empty() ? shape[0] : 1;
}

bool Model::has_auxiliary_heads() const {
  return std::any_of(operations_.begin(), operations_.end(),
                     [](const Operation& op) { return op.auxiliary; });
}

bool Model::executable() const {
  return std::none_of(operations_.begin(), operations_.end(),
                      [](const Operation& op) { return op.is<OpaqueOp>(); });
}

std::vector<std::size_t> backward_order(const Model& model) {
  std::vector<std::size_t> order;
  for (std::size_t i = model.operations().size(); i-- > 0;)
    if (model.operations()[i].needs_gradient) order.push_back(i);
  return order;
}

std::vector<GradientEvent> gradient_events(const Model& model) {
  std::vector<std::size_t> uses_left;
  for (const ModelTensor& tensor : model.tensors()) uses_left.push_back(tensor.operations.size());
  std::vector<GradientEvent> events;
  for (const std::size_t i : backward_order(model)) {
    GradientEvent event{i, {}};
    for (const std::size_t tensor : model.tensors_of(i))
      if (--uses_left[tensor] == 0) event.tensors.push_back(tensor);
    // The last one first, as everywhere in backward order: neighbours in time are then neighbours
    // in a flat gradient.
    std::reverse(event.tensors.begin(), event.tensors.end());
    events.push_back(std::move(event));
  }
  return events;
}

double training_memory_bytes(const Model& model, std::int64_t batch, int optimizer_slots,
                             double bytes_per_element) {
  if (batch < 1) throw InputError(fmt::format("the batch must be 1 or more, found {}", batch));
  const double copies = 2.0 + optimizer_slots;
  return bytes_per_element * (copies * static_cast<double>(model.parameters()) +
                              static_cast<double>(batch) * model.activation_elements());
}

}  // namespace paceline
