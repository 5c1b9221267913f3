#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// What an .onnx file says, as far as the sizes of a network need it. The few messages of onnx.proto3 (IR version 3 on) are
// read from protobuf's wire format here: a library for it would be the largest thing that Paceline links.
namespace paceline::onnx {

/// A weight or a constant. Its data may be missing or lie in another file: shapes are what counts.
struct TensorInfo {
  std::string name;
  std::vector<std::int64_t> dims;
  std::int64_t type = 0;  ///< TensorProto.DataType: 1 float, 7 int64, 10 float16, 16 bfloat16
  std::vector<std::int64_t> integers = {};  ///< of int64 and int32 constants of at most 64 elements
  [[nodiscard]] bool is_float() const {
    return type == 1 || type == 10 || type == 11 || type == 16;
  }
  [[nodiscard]] std::int64_t elements() const;
};

struct Attribute {
  std::int64_t integer = 0;
  float real = 0;
  std::string text = {};
  std::vector<std::int64_t> integers = {};
  TensorInfo tensor = {};
};

struct Node {
  std::string name, type, domain;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, Attribute> attributes;

  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t fallback) const;
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& key) const;
};

/// An input, output or intermediate value; an unknown extent is -1, its name in `symbols`.
struct ValueInfo {
  std::string name;
  std::int64_t type = 0;
  std::vector<std::int64_t> dims;
  std::vector<std::string> symbols;
};

struct Graph {
  std::string name;
  std::int64_t opset = 0;
  std::vector<Node> nodes;  ///< in an order in which they can run
  std::map<std::string, TensorInfo> initializers;
  std::vector<ValueInfo> inputs, outputs;
  std::map<std::string, ValueInfo> values;  ///< that the file states shapes of
};

/// Throws InputError naming `file` for what is not an ONNX model.
Graph read_graph(std::string_view bytes, const std::string& file);

}  // namespace paceline::onnx
