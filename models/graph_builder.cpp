#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "models/graph.hpp"
#include "models/operation_costs.hpp"

namespace paceline {

GraphBuilder::GraphBuilder(std::string name, std::string title, std::string notes) {
  model_.name_ = std::move(name);
  model_.title_ = title.empty() ? model_.name_ : std::move(title);
  model_.notes_ = std::move(notes);
}

std::size_t GraphBuilder::add_operation(std::string name, std::vector<std::size_t> inputs,
                                        Attributes attributes) {
  Operation op;
  op.name = std::move(name);
  op.inputs = std::move(inputs);
  op.attributes = std::move(attributes);
  op.auxiliary = auxiliary_;
  const std::size_t index = model_.operations_.size();
  std::vector<const Operation*> sources;
  for (const std::size_t input : op.inputs) {
    if (input >= index) throw std::logic_error("an operation may read earlier ones only");
    sources.push_back(&model_.operations_[input]);
  }
  try {
    if (op.name.empty()) throw InputError("an operation needs a name");
    if (!operation_names_.emplace(op.name, index).second)
      throw InputError("another operation has the same name");
    infer_shape(op, sources);
    set_costs(op, sources);
    register_tensors(op, index);
  } catch (const InputError& error) {
    throw InputError(fmt::format("operation '{}': {}", op.name, error.what()));
  }
  model_.operations_.push_back(std::move(op));
  return index;
}

void GraphBuilder::register_tensors(const Operation& op, std::size_t index) {
  const auto* dense = std::get_if<DenseOp>(&op.attributes);
  model_.tensors_of_.emplace_back();
  for (const ParameterTensor& parameter : op.parameters) {
    register_tensor(parameter, dense != nullptr && dense->tied_to == parameter.name, index);
    model_.tensors_of_.back().push_back(tensor_names_.at(parameter.name));
  }
}

void GraphBuilder::register_tensor(const ParameterTensor& parameter, bool tied, std::size_t index) {
  const auto found = tensor_names_.find(parameter.name);
  if (!tied) {
    if (found != tensor_names_.end())
      throw InputError(fmt::format("another tensor is called '{}'", parameter.name));
    tensor_names_.emplace(parameter.name, model_.tensors_.size());
    model_.tensors_.push_back({parameter, {index}});
    return;
  }
  if (found == tensor_names_.end()) {
    std::vector<std::string> names;
    for (const ModelTensor& tensor : model_.tensors_) names.push_back(tensor.name);
    throw InputError(unknown_name("tensor to tie to", parameter.name, names));
  }
  ModelTensor& owner = model_.tensors_[found->second];
  if (owner.shape != parameter.shape)
    throw InputError(fmt::format("is tied to '{}' of shape {}, but needs {}", parameter.name,
                                 shape_text(owner.shape), shape_text(parameter.shape)));
  owner.operations.push_back(index);
}

// A schedule waits for every gradient: what leads to no loss would never yield its own.
void GraphBuilder::refuse_loose_ends() const {
  const auto is_loss = [](const Operation& op) { return op.is<SoftmaxLossOp>(); };
  const auto& operations = model_.operations_;
  if (std::none_of(operations.begin(), operations.end(), is_loss)) return;
  for (std::size_t i = 0; i < operations.size(); ++i)
    if (model_.consumers_[i].empty() && !is_loss(operations[i]))
      throw InputError(fmt::format("operation '{}': no operation reads it and it is no loss",
                                   operations[i].name));
}

Model GraphBuilder::build() {
  if (model_.operations_.empty())
    throw InputError(fmt::format("model '{}' has no operation", model_.name_));
  auto& consumers = model_.consumers_;
  consumers.resize(model_.operations_.size());
  for (std::size_t i = 0; i < model_.operations_.size(); ++i)
    for (const std::size_t input : model_.operations_[i].inputs) consumers[input].push_back(i);
  refuse_loose_ends();
  for (std::size_t i = 0; i < model_.operations_.size(); ++i)
    add_fan_out_costs(model_.operations_[i], consumers[i].size());
  return std::exchange(model_, Model());
}

std::size_t GraphBuilder::input(std::string name, std::vector<std::int64_t> shape,
                                std::int64_t entries) {
  return add_operation(std::move(name), {}, InputOp{std::move(shape), entries});
}
std::size_t GraphBuilder::conv2d(std::string name, std::size_t x, Conv2dOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::dense(std::string name, std::size_t x, DenseOp op) {
  return add_operation(std::move(name), {x}, std::move(op));
}
std::size_t GraphBuilder::batch_norm(std::string name, std::size_t x, BatchNormOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::layer_norm(std::string name, std::size_t x, LayerNormOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::relu(std::string name, std::size_t x) {
  return add_operation(std::move(name), {x}, ReluOp{});
}
std::size_t GraphBuilder::max_pool(std::string name, std::size_t x, MaxPoolOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::avg_pool(std::string name, std::size_t x, AvgPoolOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::global_avg_pool(std::string name, std::size_t x) {
  return add_operation(std::move(name), {x}, GlobalAvgPoolOp{});
}
std::size_t GraphBuilder::lrn(std::string name, std::size_t x, LrnOp op) {
  return add_operation(std::move(name), {x}, op);
}
std::size_t GraphBuilder::add(std::string name, std::vector<std::size_t> inputs) {
  return add_operation(std::move(name), std::move(inputs), AddOp{});
}
std::size_t GraphBuilder::concat(std::string name, std::vector<std::size_t> inputs) {
  return add_operation(std::move(name), std::move(inputs), ConcatOp{});
}
std::size_t GraphBuilder::dropout(std::string name, std::size_t x, double p) {
  return add_operation(std::move(name), {x}, DropoutOp{p});
}
std::size_t GraphBuilder::flatten(std::string name, std::size_t x) {
  return add_operation(std::move(name), {x}, FlattenOp{});
}
std::size_t GraphBuilder::softmax_loss(std::string name, std::size_t x, double weight) {
  return add_operation(std::move(name), {x}, SoftmaxLossOp{weight});
}

}  // namespace paceline
