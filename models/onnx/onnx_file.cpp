#include "models/onnx/onnx_file.hpp"

#include <fmt/format.h>

#include <cstring>

#include "base/error.hpp"

namespace paceline::onnx {
namespace {

// Protobuf's wire format: (field << 3 | type), then a varint, 8 bytes, a length and so many bytes, or 4 bytes.
class Wire {
 public:
  Wire(std::string_view bytes, const std::string& file) : rest_(bytes), file_(file) {}

  /// The next field; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t key = varint();
    field_ = key >> 3;
    type_ = key & 7;
    if (field_ == 0) fail();
    if (type_ == 0)
      value_ = varint();
    else if (type_ == 1)
      take(8);
    else if (type_ == 2)
      take(varint());
    else if (type_ == 5)
      take(4);
    else
      fail();
    return true;
  }
  [[nodiscard]] std::uint64_t field() const { return field_; }
  [[nodiscard]] std::int64_t integer() const {
    if (type_ != 0) fail();
    return static_cast<std::int64_t>(value_);
  }
  [[nodiscard]] std::string_view bytes() const {
    if (type_ != 2) fail();
    return taken_;
  }
  [[nodiscard]] std::string text() const { return std::string(bytes()); }
  [[nodiscard]] Wire message() const { return {bytes(), file_}; }
  [[nodiscard]] float real() const {
    if (type_ != 5) fail();
    float value = 0;
    std::memcpy(&value, taken_.data(), 4);
    return value;
  }
  /// One value, or several packed into one field.
  void append_to(std::vector<std::int64_t>& list) const {
    if (type_ == 0) return list.push_back(integer());
    Wire packed(bytes(), file_);
    while (!packed.rest_.empty()) list.push_back(static_cast<std::int64_t>(packed.varint()));
  }
  [[noreturn]] void fail() const {
    throw InputError(fmt::format(
        "{}: not an ONNX model: expected onnx.ModelProto in protobuf's binary form", file_));
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) fail();
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail();
  }
  void take(std::uint64_t count) {
    if (count > rest_.size()) fail();
    taken_ = rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  std::string_view rest_, taken_;
  std::string file_;
  std::uint64_t field_ = 0, type_ = 0, value_ = 0;
};

constexpr std::int64_t kInt32 = 6, kInt64 = 7;
constexpr std::int64_t kSmall = 64;                       // elements
constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // extent

TensorInfo read_tensor(Wire wire) {
  TensorInfo tensor;
  std::string_view raw;
  while (wire.next()) switch (wire.field()) {
      case 1:
        wire.append_to(tensor.dims);
        break;
      case 2:
        tensor.type = wire.integer();
        break;
      case 5:
      case 7:
        wire.append_to(tensor.integers);
        break;
      case 8:
        tensor.name = wire.text();
        break;
      case 9:
        raw = wire.bytes();
        break;
      default:
        break;
    }
  for (const std::int64_t dim : tensor.dims)
    if (dim < 0 || dim > kLargest) wire.fail();
  const std::size_t width = tensor.type == kInt64 ? 8 : tensor.type == kInt32 ? 4 : 0;
  if (tensor.elements() > kSmall || width == 0) {
    tensor.integers.clear();
  } else if (tensor.integers.empty()) {
    for (; raw.size() >= width; raw.remove_prefix(width)) {
      std::int64_t value = 0;
      std::int32_t narrow = 0;
      std::memcpy(width == 8 ? static_cast<void*>(&value) : &narrow, raw.data(), width);
      tensor.integers.push_back(width == 8 ? value : narrow);
    }
  }
  return tensor;
}

Attribute read_attribute(Wire wire, std::string& name) {
  Attribute attribute;
  while (wire.next()) switch (wire.field()) {
      case 1:
        name = wire.text();
        break;
      case 2:
        attribute.real = wire.real();
        break;
      case 3:
        attribute.integer = wire.integer();
        break;
      case 4:
        attribute.text = wire.text();
        break;
      case 5:
        attribute.tensor = read_tensor(wire.message());
        break;
      case 8:
        wire.append_to(attribute.integers);
        break;
      default:
        break;
    }
  return attribute;
}

Node read_node(Wire wire) {
  Node node;
  while (wire.next()) switch (wire.field()) {
      case 1:
        node.inputs.push_back(wire.text());
        break;
      case 2:
        node.outputs.push_back(wire.text());
        break;
      case 3:
        node.name = wire.text();
        break;
      case 4:
        node.type = wire.text();
        break;
      case 5: {
        std::string name;
        Attribute attribute = read_attribute(wire.message(), name);
        node.attributes[name] = std::move(attribute);
        break;
      }
      case 7:
        node.domain = wire.text();
        break;
      default:
        break;
    }
  return node;
}

void read_dimension(Wire wire, ValueInfo& value) {
  value.dims.push_back(-1);
  value.symbols.emplace_back();
  while (wire.next()) {
    if (wire.field() == 1) value.dims.back() = wire.integer();
    if (value.dims.back() > kLargest) wire.fail();
    if (wire.field() == 2) value.symbols.back() = wire.text();
  }
}

// TypeProto.Tensor: elem_type 1, shape 2, whose dim is 1.
void read_tensor_type(Wire wire, ValueInfo& value) {
  while (wire.next()) {
    if (wire.field() == 1) value.type = wire.integer();
    if (wire.field() != 2) continue;
    Wire shape = wire.message();
    while (shape.next())
      if (shape.field() == 1) read_dimension(shape.message(), value);
  }
}

ValueInfo read_value(Wire wire) {
  ValueInfo value;
  while (wire.next()) {
    if (wire.field() == 1) value.name = wire.text();
    if (wire.field() != 2) continue;
    Wire type = wire.message();
    while (type.next())
      if (type.field() == 1) read_tensor_type(type.message(), value);
  }
  return value;
}

void read_graph_message(Wire wire, Graph& graph) {
  while (wire.next()) switch (wire.field()) {
      case 1:
        graph.nodes.push_back(read_node(wire.message()));
        break;
      case 2:
        graph.name = wire.text();
        break;
      case 5: {
        TensorInfo tensor = read_tensor(wire.message());
        const std::string name = tensor.name;
        graph.initializers[name] = std::move(tensor);
        break;
      }
      case 11:
        graph.inputs.push_back(read_value(wire.message()));
        break;
      case 12:
        graph.outputs.push_back(read_value(wire.message()));
        break;
      case 13: {
        ValueInfo value = read_value(wire.message());
        const std::string name = value.name;
        graph.values[name] = std::move(value);
        break;
      }
      default:
        break;
    }
}

void read_opset(Wire wire, Graph& graph) {
  std::string domain;
  std::int64_t version = 0;
  while (wire.next()) {
    if (wire.field() == 1) domain = wire.text();
    if (wire.field() == 2) version = wire.integer();
  }
  if (domain.empty() || domain == "ai.onnx") graph.opset = version;
}

}  // namespace

std::int64_t TensorInfo::elements() const {
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  std::int64_t product = 1;
  for (const std::int64_t dim : dims) {
    if (dim > 0 && product > kMost / dim) return kMost;
    product *= dim;
  }
  return product;
}

std::int64_t Node::integer(const std::string& key, std::int64_t fallback) const {
  const auto found = attributes.find(key);
  return found == attributes.end() ? fallback : found->second.integer;
}

std::vector<std::int64_t> Node::integers(const std::string& key) const {
  const auto found = attributes.find(key);
  return found == attributes.end() ? std::vector<std::int64_t>{} : found->second.integers;
}

Graph read_graph(std::string_view bytes, const std::string& file) {
  Graph graph;
  bool found = false;
  Wire model(bytes, file);
  while (model.next()) {
    if (model.field() == 7) {
      read_graph_message(model.message(), graph);
      found = true;
    }
    if (model.field() == 8) read_opset(model.message(), graph);
  }
  if (!found || graph.nodes.empty()) model.fail();
  return graph;
}

}  // namespace paceline::onnx
