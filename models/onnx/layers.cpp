#include <fmt/format.h>

#include <iterator>
#include <sstream>

#include "models/onnx/importer.hpp"

// What operation a node becomes.
namespace paceline::onnx {
namespace {

constexpr std::int64_t kLargestWindow = 1 << 16;

// Operators of one activation that keep its elements: nothing moves.
const std::set<std::string> kViews{"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity",
                                   "Cast",    "Split",     "Slice",   "Expand"};
// Of one activation or two, element by element, for which no operation of ours stands.
const std::set<std::string> kElementwise = [] {
  std::istringstream names(
      "Abs Acos Add Asin Atan Ceil Celu Clip Cos Div Elu Erf Exp Floor HardSigmoid HardSwish "
      "LeakyRelu "
      "Log LogSoftmax Max Min Mish Mul Neg Pow Reciprocal Round Selu Sign Sin Softmax Softplus "
      "Softsign "
      "Sqrt Sub Tan ThresholdedRelu Where");
  return std::set<std::string>(std::istream_iterator<std::string>(names), {});
}();

}  // namespace

// Operators with one activation, or several, that one operation stands for.
bool Importer::simple(const Node& node) {
  const auto one = [&](Attributes attributes) {
    add_as(node, {source(node, 0)}, std::move(attributes));
    return true;
  };
  if (node.type == "Relu") return one(ReluOp{});
  if (node.type == "Tanh") return one(TanhOp{});
  if (node.type == "Sigmoid") return one(SigmoidOp{});
  if (node.type == "Gelu") return one(GeluOp{});
  if (node.type == "GlobalAveragePool") return one(GlobalAvgPoolOp{});
  if (node.type == "LRN") return one(LrnOp{});
  if (node.type == "Flatten") return one(FlattenOp{});
  if (node.type == "Dropout") return one(DropoutOp{dropout_of(node)});
  if (node.type == "Reshape" && flattens(node)) return one(FlattenOp{});
  if (node.type == "ReduceMean" && pools_all(node)) return one(GlobalAvgPoolOp{});
  if (node.type == "Concat" && node.integer("axis", 0) == 1) {
    std::vector<std::size_t> sources;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) sources.push_back(source(node, i));
    add_as(node, std::move(sources), ConcatOp{});
    return true;
  }
  if ((node.type != "Add" && node.type != "Mul") || !active(input(node, 0)) ||
      !active(input(node, 1)))
    return false;
  std::vector<std::size_t> both{source(node, 0), source(node, 1)};
  if (node.type == "Add")
    add_as(node, std::move(both), AddOp{});
  else
    add_as(node, std::move(both), MultiplyOp{});
  return true;
}

double Importer::dropout_of(const Node& node) const {
  const auto ratio = node.attributes.find("ratio");
  return ratio == node.attributes.end() ? 0.5 : ratio->second.real;
}

std::vector<std::int64_t> Importer::constant_integers(const Node& node, std::size_t i) const {
  const Value* value = input(node, i);
  return value != nullptr && value->kind == Kind::constant && value->weight != nullptr
             ? value->weight->integers
             : std::vector<std::int64_t>{};
}

bool Importer::flattens(const Node& node) {
  return active(input(node, 0)) && constant_integers(node, 1).size() == 2 &&
         builder_.operation(source(node, 0)).output_shape.size() == 3;
}

bool Importer::pools_all(const Node& node) {
  std::vector<std::int64_t> axes = node.integers("axes");
  if (axes.empty()) axes = constant_integers(node, 1);
  const bool last_two = axes == std::vector<std::int64_t>{2, 3} ||
                        axes == std::vector<std::int64_t>{-2, -1} ||
                        axes == std::vector<std::int64_t>{-1, -2};
  return last_two && builder_.operation(source(node, 0)).output_shape.size() == 3;
}

// ---- windows
Importer::Window Importer::window(const Node& node, std::vector<std::int64_t> kernel) const {
  if (const std::vector<std::int64_t> stated = node.integers("kernel_shape"); !stated.empty())
    kernel = stated;
  std::vector<std::int64_t> stride = node.integers("strides"), pads = node.integers("pads");
  const auto automatic = node.attributes.find("auto_pad");
  const bool same =
      automatic != node.attributes.end() && automatic->second.text.starts_with("SAME");
  for (const std::int64_t dilation : node.integers("dilations"))
    if (dilation != 1) fail(node, "expected dilations of 1");
  for (const std::vector<std::int64_t>* extents : {&kernel, &stride, &pads})
    for (const std::int64_t extent : *extents)
      if (extent < 0 || extent > kLargestWindow) fail(node, "expected extents of a window");
  if (kernel.size() != 2) fail(node, "expected a window of two dimensions");
  if (stride.empty()) stride = {1, 1};
  if (same)
    pads = {(kernel[0] - 1) / 2, (kernel[1] - 1) / 2, (kernel[0] - 1) / 2, (kernel[1] - 1) / 2};
  if (pads.empty()) pads = {0, 0, 0, 0};
  if (stride.size() != 2 || pads.size() != 4 || pads[0] != pads[2] || pads[1] != pads[3])
    fail(node, "expected strides of two numbers and the same padding on both sides");
  Window found;
  found.kernel = Extent(kernel[0], kernel[1]);
  found.stride = Extent(stride[0], stride[1]);
  found.padding = Extent(pads[0], pads[1]);
  return found;
}

void Importer::conv(const Node& node) {
  const TensorInfo* w = weight(node, 1);
  if (w == nullptr || w->dims.size() != 4)
    fail(node, "expected a weight [channels, inputs, height, width]");
  const Window over = window(node, {w->dims[2], w->dims[3]});
  Conv2dOp op;
  op.channels = w->dims[0];
  op.kernel = over.kernel;
  op.stride = over.stride;
  op.padding = over.padding;
  op.groups = node.integer("group", 1);
  op.bias = weight(node, 2) != nullptr;
  add_as(node, {source(node, 0)}, op, w);
}

template <class Op>
void Importer::pool(const Node& node) {
  const Window over = window(node, {});
  Op op;
  op.kernel = over.kernel;
  op.stride = over.stride;
  op.padding = over.padding;
  op.ceil_mode = node.integer("ceil_mode", 0) != 0;
  op.count_padding = node.integer("count_include_pad", 0) != 0;
  add_as(node, {source(node, 0)}, op);
}

template <class Op>
void Importer::norm(const Node& node, Op op) {
  if (const auto epsilon = node.attributes.find("epsilon"); epsilon != node.attributes.end())
    op.epsilon = static_cast<double>(epsilon->second.real);
  const TensorInfo* scale = weight(node, 1);
  if (scale == nullptr || scale->dims.size() != 1) fail(node, "expected a scale of one dimension");
  add_as(node, {source(node, 0)}, op, scale);
}

// ---- linear layers and embeddings
void Importer::product(const Node& node) {
  if (active(input(node, 0)) && active(input(node, 1)))
    fail(node, "a product of two activations that is no attention");
  const TensorInfo* w = weight(node, 1);
  if (w == nullptr || w->dims.size() != 2) fail(node, "expected a weight [inputs, outputs]");
  const bool turned =
      input(node, 1)->transposed != (node.type == "Gemm" && node.integer("transB", 0) != 0);
  DenseOp op;
  op.features = w->dims[turned ? 0 : 1];
  op.bias = node.inputs.size() > 2 && weight(node, 2) != nullptr;
  if (const auto owner = owners_.find(w->name); owner != owners_.end()) op.tied_to = owner->second;
  const Node* adds = node.type == "MatMul" ? bias_of(node) : nullptr;
  op.bias = op.bias || adds != nullptr;
  const std::size_t x = source(node, 0);
  const std::string name = unique(node, op.tied_to.empty() ? w : nullptr);
  if (op.tied_to.empty()) owners_[w->name] = name + ".weight";
  const std::size_t index = add_named(name, node, {x}, op);
  if (adds == nullptr) return;
  activation(adds->outputs.at(0), index);
  done_.insert(adds);
}

// The Add of a vector that is all that reads a product.
const Node* Importer::bias_of(const Node& node) const {
  const auto readers = readers_.find(node.outputs[0]);
  if (readers == readers_.end() || readers->second.size() != 1) return nullptr;
  const Node* add = readers->second.front();
  if (add->type != "Add" || add->inputs.size() != 2 || add->outputs.empty()) return nullptr;
  const TensorInfo* bias = weight(*add, add->inputs[0] == node.outputs[0] ? 1 : 0);
  return bias != nullptr && bias->dims.size() == 1 ? add : nullptr;
}

void Importer::gather(const Node& node) {
  const TensorInfo* table = weight(node, 0);
  if (table == nullptr) {  // one position of a sequence
    if (node.integer("axis", 0) == 1 &&
        builder_.operation(source(node, 0)).output_shape.size() == 2) {
      add_as(node, {source(node, 0)}, FirstStepOp{});
      return;
    }
    return view(node);
  }
  if (table->dims.size() != 2) fail(node, "expected a table [entries, features]");
  const Value* indices = input(node, 1);
  std::size_t ids = 0;
  if (active(indices)) {
    ids = source(node, 1);
  } else {  // positions that the file holds
    const std::int64_t count =
        indices != nullptr && indices->weight != nullptr ? indices->weight->elements() : 0;
    if (count < 1)
      fail(node, "indices that are computed from shapes: expected an input or a constant");
    std::string name = node.inputs[1];
    while (!names_.insert(name).second) name += "#";
    ids = builder_.input(name, {count}, table->dims[0]);
  }
  if (owners_.contains(table->name)) fail(node, "a table that is read twice");
  const std::string name = unique(node, table);
  owners_[table->name] = name + ".weight";
  add_named(name, node, {ids}, EmbeddingOp{table->dims[0], table->dims[1]});
}

// ---- attention
// Takes what belongs to an attention: the product of two activations, what is done to its scores, the product with values.
bool Importer::attends(const Node& node) {
  const Value *a = input(node, 0), *b = input(node, 1);
  if (node.type == "MatMul" && active(a) && active(b)) return multiply(node, *a, *b);
  const Value* scores = nullptr;
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (const Value* value = input(node, i);
        value != nullptr && (value->kind == Kind::scores || value->kind == Kind::probabilities))
      scores = value;
  if (scores == nullptr) return false;
  Value next = *scores;
  if (node.type == "Softmax" && next.kind == Kind::scores)
    next.kind = Kind::probabilities;
  else if (node.type == "Dropout")
    next.dropout = dropout_of(node);
  else if (node.type == "Where")
    next.masked = true;
  else if (node.type != "Mul" && node.type != "Div" && node.type != "Add" && node.type != "Sub" &&
           node.type != "Cast" && node.type != "Identity")
    fail(node, "reads the scores of an attention, Q K^T, and is no part of one that is known");
  values_[node.outputs.at(0)] = next;
  return true;
}

bool Importer::multiply(const Node& node, const Value& a, const Value& b) {
  if (a.kind == Kind::activation && b.kind == Kind::activation && a.input == nullptr &&
      b.input == nullptr) {
    Value scores;
    scores.kind = Kind::scores;
    scores.q = a.operation;
    scores.k = b.operation;
    scores.heads = std::max(a.heads, heads_of(node.outputs.at(0)));
    values_[node.outputs.at(0)] = scores;
    return true;
  }
  if (a.kind != Kind::probabilities || b.kind != Kind::activation) return false;
  const std::size_t v = source(node, 1);
  AttentionOp op;
  op.heads = std::max<std::int64_t>(1, a.heads);
  op.causal = a.masked;
  op.dropout = a.dropout;
  std::vector<std::size_t> sources{a.q, a.k, v};
  if (a.q == a.k && a.q == v) sources.resize(1);
  add_as(node, std::move(sources), op);
  return true;
}

// From a shape [batch, heads, T, T] that the file states.
std::int64_t Importer::heads_of(const std::string& name) const {
  const auto stated = graph_.values.find(name);
  return stated != graph_.values.end() && stated->second.dims.size() == 4 ? stated->second.dims[1]
                                                                          : 0;
}

void Importer::view(const Node& node) {
  Value value = *first_active(node);
  if (node.type == "Reshape")
    if (const std::vector<std::int64_t> shape = constant_integers(node, 1); shape.size() == 4)
      value.heads = shape[2];
  for (const std::string& output : node.outputs) values_[output] = value;
}

void Importer::elementwise(const Node& node) {
  std::vector<std::size_t> sources;
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (active(input(node, i))) sources.push_back(source(node, i));
  for (std::size_t i = 0; i < node.inputs.size(); ++i)
    if (const TensorInfo* w = weight(node, i); w != nullptr && w->elements() > 1)
      fail(node, fmt::format("reads the weight '{}', which only convolutions, linear layers, "
                             "embeddings and norms may",
                             w->name));
  ++priced_[node.type];
  if (sources.size() == 2)
    add_as(node, std::move(sources), MultiplyOp{});
  else
    add_as(node, {sources.front()}, SigmoidOp{});
}

void Importer::add(const Node& node) {
  if (node.outputs.empty()) return;
  bool any = false;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) any = any || active(input(node, i));
  const bool embeds = node.type == "Gather" && weight(node, 0) != nullptr;
  if ((!any && !embeds) || node.type == "Shape") return constant(node);
  if (attends(node)) return;
  if (node.type == "Conv") return conv(node);
  if (node.type == "Gemm" || node.type == "MatMul") return product(node);
  if (node.type == "Gather") return gather(node);
  if (node.type == "BatchNormalization") return norm(node, BatchNormOp{});
  if (node.type == "LayerNormalization") return norm(node, LayerNormOp{});
  if (node.type == "MaxPool") return pool<MaxPoolOp>(node);
  if (node.type == "AveragePool") return pool<AvgPoolOp>(node);
  if (simple(node)) return;
  if (kViews.contains(node.type)) return view(node);
  if (kElementwise.contains(node.type)) return elementwise(node);
  ++unknown_[node.domain.empty() ? node.type : node.domain + "." + node.type];
  // Go on as if it kept its input's shape, to name all there are.
  for (const std::string& output : node.outputs) values_[output] = *first_active(node);
}

}  // namespace paceline::onnx
