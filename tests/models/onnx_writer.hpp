#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

// Writes ONNX models as exporters do, without weights' data: protobuf's wire format by hand, since what reads it is by hand
// too and the format's numbers (onnx.proto3) are all that both share.
namespace paceline::onnx_writer {

using Ints = std::vector<std::int64_t>;
using Names = std::vector<std::string>;

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(0x80 | (value & 0x7F));
  return bytes + static_cast<char>(value);
}
inline std::string number(int field, std::int64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(static_cast<std::uint64_t>(value));
}
inline std::string text(int field, const std::string& value) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(value.size()) + value;
}
inline std::string real(int field, float value) {
  std::string bytes(4, 0);
  std::memcpy(bytes.data(), &value, 4);
  return varint(static_cast<std::uint64_t>(field) << 3 | 5) + bytes;
}

inline std::string attribute(const std::string& name, std::int64_t value) {
  return text(5, text(1, name) + number(3, value) + number(20, 2));
}
inline std::string attribute(const std::string& name, const Ints& values) {
  std::string bytes = text(1, name) + number(20, 7);
  for (const std::int64_t value : values) bytes += number(8, value);
  return text(5, bytes);
}

class Writer {
 public:
  /// Its output, called as the node.
  std::string node(const std::string& type, const std::string& name, const Names& inputs,
                   const std::string& attributes = "") {
    std::string bytes;
    for (const std::string& input : inputs) bytes += text(1, input);
    nodes_ += text(1, bytes + text(2, name + ".out") + text(3, name) + text(4, type) + attributes);
    return name + ".out";
  }
  /// A weight of floats, its data in another file.
  std::string weight(const std::string& name, const Ints& dims) {
    std::string bytes;
    for (const std::int64_t dim : dims) bytes += number(1, dim);
    weights_ += text(5, bytes + number(2, 1) + text(8, name) + number(14, 1));
    return name;
  }
  /// A constant of 64-bit integers: packed, or as raw bytes.
  std::string integers(const std::string& name, const Ints& values, bool raw = false) {
    std::string bytes =
        number(1, static_cast<std::int64_t>(values.size())) + number(2, 7) + text(8, name);
    std::string data;
    for (const std::int64_t value : values) {
      std::string eight(8, 0);
      std::memcpy(eight.data(), &value, 8);
      data += raw ? eight : varint(static_cast<std::uint64_t>(value));
    }
    weights_ += text(5, bytes + text(raw ? 9 : 7, data));
    return name;
  }
  std::string scalar(const std::string& name) {
    weights_ += text(5, number(2, 1) + text(8, name));
    return name;
  }
  /// `dims`: after the batch, which is open; a negative one is open too, as "seq".
  std::string input(const std::string& name, const Ints& dims, int type = 1) {
    inputs_ += text(11, value(name, dims, type));
    return name;
  }
  void output(const std::string& name) { outputs_ += text(12, text(1, name)); }

  [[nodiscard]] std::string model(std::int64_t opset = 17) const {
    return number(1, 8) + text(2, "test") +
           text(7, nodes_ + text(2, "net") + weights_ + inputs_ + outputs_) +
           text(8, text(1, "") + number(2, opset));
  }

 private:
  static std::string value(const std::string& name, const Ints& dims, int type) {
    std::string shape = text(1, text(2, "batch"));
    for (const std::int64_t dim : dims) shape += text(1, dim < 0 ? text(2, "seq") : number(1, dim));
    return text(1, name) + text(2, text(1, number(1, type) + text(2, shape)));
  }
  std::string nodes_, weights_, inputs_, outputs_;
};

}  // namespace paceline::onnx_writer
