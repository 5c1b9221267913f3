#include "models/model_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <queue>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "models/attribute_json.hpp"
#include "models/hugging_face.hpp"
#include "models/model_options.hpp"
#include "models/onnx/import_onnx.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

constexpr const char* kFormat = "paceline-model-1";
constexpr std::int64_t kMostRepeats = 100'000;

/// One entry of "operations" as it stands in the file.
struct FileOperation {
  ObjectReader reader;
  std::string name;
  std::vector<std::string> input_names = {};
  std::vector<std::size_t> inputs = {};  ///< positions in the file
  Attributes attributes = {};
  bool auxiliary = false;
  std::vector<std::int64_t> declared_shape = {};
};

void rethrow_at(const ObjectReader& reader, const InputError& error) {
  reader.fail(error.what());
}

FileOperation read_operation(ObjectReader reader) {
  FileOperation op{.reader = reader, .name = reader.string("name")};
  const std::string name = reader.string("kind");
  OpKind kind{};
  try {
    kind = op_kind_from_string(name);
  } catch (const InputError& error) {
    reader.fail_at("kind", error.what());
  }
  if (reader.has("inputs")) op.input_names = reader.strings("inputs");
  op.auxiliary = reader.boolean("auxiliary", false);
  op.attributes = read_attributes(reader, kind);
  if (reader.has("output_shape")) op.declared_shape = reader.integers("output_shape");
  reader.finish();
  return op;
}

std::vector<FileOperation> read_operations(ObjectReader& model) {
  std::vector<FileOperation> operations;
  std::map<std::string, std::size_t> positions;
  std::vector<std::string> names;
  for (ObjectReader& reader : model.objects("operations")) {
    operations.push_back(read_operation(reader));
    names.push_back(operations.back().name);
    if (!positions.emplace(names.back(), names.size() - 1).second)
      reader.fail_at("name", fmt::format("another operation is called '{}'", names.back()));
  }
  for (FileOperation& op : operations) {
    for (const std::string& input : op.input_names) {
      const auto found = positions.find(input);
      if (found == positions.end())
        op.reader.fail_at("inputs", unknown_name("operation", input, names));
      op.inputs.push_back(found->second);
    }
  }
  return operations;
}

/// Follows inputs that were never placed until one comes up again.
[[noreturn]] void fail_with_cycle(const ObjectReader& model,
                                  const std::vector<FileOperation>& operations,
                                  const std::vector<std::size_t>& missing) {
  std::size_t at = 0;
  while (missing[at] == 0) ++at;
  std::vector<std::size_t> path;
  while (std::find(path.begin(), path.end(), at) == path.end()) {
    path.push_back(at);
    for (const std::size_t input : operations[at].inputs)
      if (missing[input] > 0) at = input;
  }
  std::string text = operations[at].name;
  for (auto step = std::find(path.begin(), path.end(), at) + 1; step != path.end(); ++step)
    text += " <- " + operations[*step].name;
  model.fail_at("operations",
                fmt::format("a cycle of inputs: {} <- {}", text, operations[at].name));
}

/// Kahn's algorithm; of the operations that are ready, the first in the file goes first, so that a
/// file that is in order stays as it is.
std::vector<std::size_t> execution_order(const ObjectReader& model,
                                         const std::vector<FileOperation>& operations) {
  std::vector<std::size_t> missing(operations.size());
  std::vector<std::vector<std::size_t>> consumers(operations.size());
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < operations.size(); ++i) {
    missing[i] = operations[i].inputs.size();
    for (const std::size_t input : operations[i].inputs) consumers[input].push_back(i);
    if (missing[i] == 0) ready.push(i);
  }
  std::vector<std::size_t> order;
  while (!ready.empty()) {
    order.push_back(ready.top());
    ready.pop();
    for (const std::size_t consumer : consumers[order.back()])
      if (--missing[consumer] == 0) ready.push(consumer);
  }
  if (order.size() < operations.size()) fail_with_cycle(model, operations, missing);
  return order;
}

void add_graph(GraphBuilder& builder, ObjectReader& model) {
  const std::vector<FileOperation> operations = read_operations(model);
  std::vector<std::size_t> index(operations.size());
  for (const std::size_t position : execution_order(model, operations)) {
    const FileOperation& op = operations[position];
    std::vector<std::size_t> inputs;
    for (const std::size_t input : op.inputs) inputs.push_back(index[input]);
    builder.auxiliary(op.auxiliary);
    try {
      index[position] = builder.add_operation(op.name, std::move(inputs), op.attributes);
    } catch (const InputError& error) {
      rethrow_at(op.reader, error);
    }
    const std::vector<std::int64_t>& shape = builder.operation(index[position]).output_shape;
    if (!op.declared_shape.empty() && op.declared_shape != shape)
      op.reader.fail_at("output_shape",
                        fmt::format("operation '{}' gives {}, not {}", op.name, shape_text(shape),
                                    shape_text(op.declared_shape)));
  }
}

void add_tensors(GraphBuilder& builder, ObjectReader& model) {
  std::vector<std::size_t> previous;
  for (ObjectReader& reader : model.objects("tensors")) {
    const std::string name = reader.string("name");
    const bool repeated = reader.has("repeat");
    const std::int64_t repeat = reader.integer_or("repeat", 1, 1, kMostRepeats);
    const Attributes attributes = read_attributes(reader, op_kind<OpaqueOp>);
    reader.finish();
    for (std::int64_t i = 0; i < repeat; ++i) {
      try {
        previous = {builder.add_operation(repeated ? fmt::format("{}.{}", name, i) : name, previous,
                                          attributes)};
      } catch (const InputError& error) {
        rethrow_at(reader, error);
      }
    }
  }
}

bool is_opaque_chain(const Model& model) {
  for (std::size_t i = 0; i < model.operations().size(); ++i) {
    const Operation& op = model.operations()[i];
    if (!op.is<OpaqueOp>() || op.auxiliary) return false;
    if (i == 0 ? !op.inputs.empty() : op.inputs != std::vector<std::size_t>{i - 1}) return false;
  }
  return true;
}

Json operation_json(const Model& model, const Operation& op) {
  Json json{{"name", op.name}, {"kind", to_string(op.kind())}};
  if (!op.inputs.empty()) {
    json["inputs"] = Json::array();
    for (const std::size_t input : op.inputs)
      json["inputs"].push_back(model.operations()[input].name);
  }
  write_attributes(json, op.attributes);
  if (op.auxiliary) json["auxiliary"] = true;
  if (!op.is<InputOp>()) json["output_shape"] = op.output_shape;
  return json;
}

}  // namespace

Model read_model(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  expect_format(reader, kFormat);
  const std::string name = reader.string("name");
  if (name.empty()) reader.fail_at("name", "a model needs a name");
  GraphBuilder builder(name, reader.string("title", ""), reader.string("notes", ""));
  const bool tensors = reader.has("tensors");
  if (tensors == reader.has("operations"))
    reader.fail(tensors ? "has both 'operations' and 'tensors'; one of them describes the model"
                        : "needs 'operations' (the graph) or 'tensors' (sizes only)");
  tensors ? add_tensors(builder, reader) : add_graph(builder, reader);
  reader.finish();
  try {
    return builder.build();
  } catch (const InputError& error) {
    reader.fail(error.what());
  }
}

namespace {

bool is_onnx(const std::string& name) {
  return name.ends_with(".onnx");
}

Model load_onnx(const NamedOptions& asked) {
  std::ifstream stream(asked.name, std::ios::binary);
  if (!stream) throw InputError(fmt::format("{}: cannot be read", asked.name));
  const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  return import_onnx(bytes, asked);
}

}  // namespace

Model find_model(const std::string& name_or_file) {
  const std::string name = split_options(name_or_file).name;
  const bool file = name.ends_with(".json") || is_onnx(name) || name.find('/') != std::string::npos;
  return file ? load_model(name_or_file) : make_model(name_or_file);
}

Model load_model(const std::filesystem::path& file) {
  const NamedOptions asked = split_options(file.string());
  if (is_onnx(asked.name)) return load_onnx(asked);
  const Json json = load_json(asked.name);
  if (is_hugging_face_config(json)) return read_hugging_face_config(json, asked);
  if (!asked.options.empty())
    throw InputError(
        fmt::format("{}: a graph takes no options ({})", asked.name, options_text(asked.options)));
  return read_model(json, asked.name);
}

Json write_model(const Model& model) {
  Json json{{"format", kFormat}, {"name", model.name()}};
  if (model.title() != model.name()) json["title"] = model.title();
  if (!model.notes().empty()) json["notes"] = model.notes();
  const bool tensors = is_opaque_chain(model);
  Json& list = json[tensors ? "tensors" : "operations"] = Json::array();
  for (const Operation& op : model.operations()) {
    if (tensors) {
      list.push_back({{"name", op.name}});
      write_attributes(list.back(), op.attributes);
    } else {
      list.push_back(operation_json(model, op));
    }
  }
  return json;
}

}  // namespace paceline
