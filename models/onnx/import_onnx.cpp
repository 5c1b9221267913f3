#include "models/onnx/importer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "base/error.hpp"
#include "models/onnx/import_onnx.hpp"

namespace paceline {
namespace onnx {
Importer::Importer(const Graph& graph, const NamedOptions& asked, const std::string& notes)
    : graph_(graph),
      asked_(asked),
      builder_(std::filesystem::path(asked.name).stem().string(), "", notes) {}

std::string Importer::notes() const {
  std::string text = fmt::format("ONNX, opset {}", graph_.opset);
  if (!priced_.empty())
    text += fmt::format("; priced by their bytes alone: {}", counts_text(priced_));
  return text;
}

Model Importer::import() {
  for (const auto& [name, tensor] : graph_.initializers) values_[name].weight = &tensor;
  for (const Node& node : graph_.nodes)
    for (const std::string& input : node.inputs) readers_[input].push_back(&node);
  for (const ValueInfo& input : graph_.inputs)
    if (!graph_.initializers.contains(input.name)) add_input(input);
  for (const Node& node : graph_.nodes)
    if (!done_.contains(&node)) add(node);
  refuse();
  add_losses();
  refuse_unused_options();
  return finish();
}

void Importer::fail(const Node& node, const std::string& what) const {
  throw InputError(fmt::format("{}: node '{}' ({}): {}", asked_.name, node.name, node.type, what));
}

std::size_t Importer::source(const Node& node, std::size_t i) {
  const Value* value = input(node, i);
  if (value == nullptr || value->kind != Kind::activation)
    fail(node, fmt::format("input {} is no activation", i));
  return value->operation == Value::kNotMade ? make_input(*value->input) : value->operation;
}

std::string Importer::unique(const Node& node, const TensorInfo* of) {
  std::string name = of != nullptr ? of->name : !node.name.empty() ? node.name : node.outputs.at(0);
  constexpr std::string_view kWeight = ".weight";
  if (of != nullptr && name.ends_with(kWeight)) name.resize(name.size() - kWeight.size());
  std::string free = name;
  for (int i = 2; !names_.insert(free).second; ++i) free = fmt::format("{}#{}", name, i);
  return free;
}

std::size_t Importer::add_as(const Node& node, std::vector<std::size_t> inputs,
                             Attributes attributes, const TensorInfo* of) {
  return add_named(unique(node, of), node, std::move(inputs), std::move(attributes));
}

std::size_t Importer::add_named(const std::string& name, const Node& node,
                                std::vector<std::size_t> inputs, Attributes attributes) {
  try {
    const std::size_t index =
        builder_.add_operation(name, std::move(inputs), std::move(attributes));
    activation(node.outputs.at(0), index);
    return index;
  } catch (const InputError& error) {
    fail(node, error.what());
  }
}

std::int64_t Importer::extent(const ValueInfo& input, std::size_t d) {
  if (input.dims[d] > 0) return input.dims[d];
  const std::string& symbol = input.symbols[d];
  for (const std::string& key : {symbol, std::string(input.dims.size() == 4 ? "image" : "seq")})
    if (const auto given = asked_.options.find(key); given != asked_.options.end()) {
      used_options_.insert(key);
      return given->second;
    }
  throw InputError(fmt::format(
      "{}: input '{}' leaves dimension {} open ('{}'): give it as {}:{}=NUMBER", asked_.name,
      input.name, d, symbol, asked_.name, input.dims.size() == 4 ? "image" : "seq"));
}

// Token numbers, where an embedding reads them.
std::int64_t Importer::entries_of(const std::string& name, bool cast) const {
  const auto readers = readers_.find(name);
  if (readers == readers_.end()) return 0;
  for (const Node* node : readers->second) {
    if (node->type == "Gather" && node->inputs.size() > 1 && node->inputs[1] == name)
      if (const auto table = graph_.initializers.find(node->inputs[0]);
          table != graph_.initializers.end() && !table->second.dims.empty())
        return table->second.dims[0];
    if (node->type == "Cast" && cast && !node->outputs.empty())
      if (const std::int64_t entries = entries_of(node->outputs[0], false); entries > 0)
        return entries;
  }
  return 0;
}

void Importer::add_input(const ValueInfo& input) {
  Value& value = values_[input.name];
  value.kind = Kind::activation;
  value.input = &input;
}

std::size_t Importer::make_input(const ValueInfo& input) {
  if (const auto made = inputs_.find(input.name); made != inputs_.end()) return made->second;
  TensorShape shape;
  for (std::size_t d = 1; d < input.dims.size(); ++d) shape.push_back(extent(input, d));
  if (shape.empty()) shape.push_back(1);
  names_.insert(input.name);
  return inputs_[input.name] = builder_.input(input.name, shape, entries_of(input.name));
}

const Value* Importer::first_active(const Node& node) const {
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (active(input(node, i))) return input(node, i);
  return nullptr;
}

void Importer::constant(const Node& node) {
  Value value;
  if (!node.inputs.empty() &&
      (node.type == "Transpose" || node.type == "Identity" || node.type == "Cast"))
    if (const Value* from = input(node, 0)) {
      value = *from;
      if (node.type == "Transpose") value.transposed = !value.transposed;
    }
  if (node.type == "Constant")
    if (const auto found = node.attributes.find("value"); found != node.attributes.end())
      value.weight = &found->second.tensor;
  for (const std::string& output : node.outputs) values_[output] = value;
}

std::string Importer::counts_text(const std::map<std::string, int>& counts) {
  std::vector<std::string> parts;
  for (const auto& [type, count] : counts) parts.push_back(fmt::format("{} ({})", type, count));
  return fmt::format("{}", fmt::join(parts, ", "));
}

void Importer::refuse() const {
  if (unknown_.empty()) return;
  throw InputError(fmt::format(
      "{}: operators that are not known, by type and number: {}; expected those of convolutional "
      "networks and transformers (LayerNormalization needs opset 17)",
      asked_.name, counts_text(unknown_)));
}

void Importer::add_losses() {
  for (const ValueInfo& output : graph_.outputs) {
    const Value* value = find(output.name);
    if (value == nullptr || value->kind != Kind::activation || value->operation == Value::kNotMade)
      continue;
    if (builder_.operation(value->operation).is<DenseOp>())
      builder_.softmax_loss("loss of " + output.name, value->operation);
  }
}

void Importer::refuse_unused_options() const {
  for (const auto& [key, value] : asked_.options)
    if (!used_options_.contains(key))
      throw InputError(
          fmt::format("{}: nothing in it is open for '{}={}'", asked_.name, key, value));
}

Model Importer::finish() {
  try {
    return builder_.build();
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", asked_.name, error.what()));
  }
}

}  // namespace onnx

Model import_onnx(std::string_view bytes, const NamedOptions& asked) {
  const onnx::Graph graph = onnx::read_graph(bytes, asked.name);
  onnx::Importer first(graph, asked, "");  // the notes of a model are those of what it was made of
  first.import();
  return onnx::Importer(graph, asked, first.notes()).import();
}

}  // namespace paceline
