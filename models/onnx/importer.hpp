#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "models/graph.hpp"
#include "models/model_options.hpp"
#include "models/onnx/onnx_file.hpp"

namespace paceline::onnx {

// What a name in the graph stands for.
struct Value {
  static constexpr std::size_t kNotMade = SIZE_MAX;
  enum class Kind {
    constant,       // a weight (`weight`), or something that no activation went into
    activation,     // the output of an operation, or a view of it
    scores,         // Q K^T and what was done to it
    probabilities,  // their softmax
  };
  Kind kind = Kind::constant;
  const TensorInfo* weight = nullptr;
  bool transposed = false;           // of the weight
  std::size_t operation = kNotMade;  // of an activation
  const ValueInfo* input = nullptr;  // of one that is an input of the graph, made when first read
  std::int64_t heads = 0;            // of a view [.., T, heads, width]
  std::size_t q = 0, k = 0;          // of scores
  bool masked = false;
  double dropout = 0;
};

/// Reads a graph, node by node, into a GraphBuilder: import_onnx.hpp.
class Importer {
 public:
  using Kind = Value::Kind;
  Importer(const Graph& graph, const NamedOptions& asked, const std::string& notes);
  Model import();
  /// After import().
  [[nodiscard]] std::string notes() const;

 private:
  [[noreturn]] void fail(const Node& node, const std::string& what) const;

  // ---- values

  Value& activation(const std::string& name, std::size_t operation) {
    Value value;
    value.kind = Kind::activation;
    value.operation = operation;
    return values_[name] = value;
  }
  [[nodiscard]] const Value* find(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const Value* input(const Node& node, std::size_t i) const {
    return i < node.inputs.size() && !node.inputs[i].empty() ? find(node.inputs[i]) : nullptr;
  }
  [[nodiscard]] bool active(const Value* value) const {
    return value != nullptr && value->kind != Kind::constant;
  }
  /// The weight at input i, if it is one of floats.
  [[nodiscard]] const TensorInfo* weight(const Node& node, std::size_t i) const {
    const Value* value = input(node, i);
    return value != nullptr && value->kind == Kind::constant && value->weight != nullptr &&
                   value->weight->is_float()
               ? value->weight
               : nullptr;
  }
  /// The operation that makes input i, an activation.
  std::size_t source(const Node& node, std::size_t i);
  /// An operation's name is its weight's without ".weight", so that tensors are called as in the file.
  std::string unique(const Node& node, const TensorInfo* of);
  std::size_t add_as(const Node& node, std::vector<std::size_t> inputs, Attributes attributes,
                     const TensorInfo* of = nullptr);
  std::size_t add_named(const std::string& name, const Node& node, std::vector<std::size_t> inputs,
                        Attributes attributes);

  // ---- inputs
  std::int64_t extent(const ValueInfo& input, std::size_t d);
  [[nodiscard]] std::int64_t entries_of(const std::string& name, bool cast = true) const;
  void add_input(const ValueInfo& input);
  std::size_t make_input(const ValueInfo& input);

  // ---- nodes
  void add(const Node& node);
  [[nodiscard]] const Value* first_active(const Node& node) const;
  void constant(const Node& node);

  // ---- layers.cpp
  bool simple(const Node& node);
  [[nodiscard]] double dropout_of(const Node& node) const;
  [[nodiscard]] std::vector<std::int64_t> constant_integers(const Node& node, std::size_t i) const;
  bool flattens(const Node& node);
  bool pools_all(const Node& node);
  struct Window {
    Extent kernel = 1, stride = 1, padding = 0;
  };
  [[nodiscard]] Window window(const Node& node, std::vector<std::int64_t> kernel) const;
  void conv(const Node& node);
  template <class Op>
  void pool(const Node& node);
  template <class Op>
  void norm(const Node& node, Op op);
  void product(const Node& node);
  [[nodiscard]] const Node* bias_of(const Node& node) const;
  void gather(const Node& node);
  bool attends(const Node& node);
  bool multiply(const Node& node, const Value& a, const Value& b);
  [[nodiscard]] std::int64_t heads_of(const std::string& name) const;
  void view(const Node& node);
  void elementwise(const Node& node);

  // ---- the end
  static std::string counts_text(const std::map<std::string, int>& counts);
  void refuse() const;
  void add_losses();
  void refuse_unused_options() const;
  Model finish();

  const Graph& graph_;
  const NamedOptions& asked_;
  GraphBuilder builder_;
  std::map<std::string, Value> values_;
  std::map<std::string, std::vector<const Node*>> readers_;
  std::map<std::string, std::string> owners_;  // of weights: the tensor's name in the model
  std::map<std::string, std::size_t> inputs_;  // of the graph that were read: their operations
  std::set<std::string> names_, used_options_;
  std::set<const Node*> done_;
  std::map<std::string, int> unknown_, priced_;
};

}  // namespace paceline::onnx
