#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "models/operation_costs.hpp"

namespace paceline {
namespace {

using Shape = std::vector<std::int64_t>;

// No tensor of one sample or of the parameters comes near this; larger ones are typing errors that
// would overflow.
constexpr double kMostElements = 1e12;

void check_size(const Shape& shape, const char* what) {
  double product = 1;
  for (const std::int64_t size : shape) {
    if (size < 1)
      throw InputError(fmt::format("{} {} has a dimension below 1", what, shape_text(shape)));
    product *= static_cast<double>(size);
  }
  if (product > kMostElements)
    throw InputError(fmt::format("{} {} is too large", what, shape_text(shape)));
}

void at_least(std::int64_t value, std::int64_t least, const char* what) {
  if (value < least)
    throw InputError(fmt::format("{} must be {} or more, found {}", what, least, value));
}

void probability(double p) {
  if (!(p >= 0 && p < 1))
    throw InputError(fmt::format("the dropout probability must be in [0, 1), found {}", p));
}

const Shape& image(const Operation& input) {
  if (input.output_shape.size() != 3)
    throw InputError(fmt::format("needs an image [channels, height, width], but '{}' gives {}",
                                 input.name, shape_text(input.output_shape)));
  return input.output_shape;
}

const Shape& sequence(const Operation& input) {
  if (input.output_shape.size() != 2)
    throw InputError(fmt::format("needs a sequence [steps, features], but '{}' gives {}",
                                 input.name, shape_text(input.output_shape)));
  return input.output_shape;
}

bool is_tokens(const Operation& input) {
  const auto* attributes = std::get_if<InputAttributes>(&input.attributes);
  return attributes != nullptr && attributes->entries > 0;
}

std::int64_t windows(std::int64_t size, std::int64_t kernel, std::int64_t stride,
                     std::int64_t padding, bool ceil_mode) {
  if (size + 2 * padding < kernel)
    throw InputError(
        fmt::format("a window of {} does not fit in {} (padding {})", kernel, size, padding));
  const std::int64_t room = size + 2 * padding - kernel;
  std::int64_t count = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  // Caffe and PyTorch alike: the last window must start inside the image or its left padding.
  if (ceil_mode && (count - 1) * stride >= size + padding) --count;
  return count;
}

Shape slide(const Shape& in, std::int64_t channels, Extent kernel, Extent stride, Extent padding,
            bool ceil_mode) {
  at_least(std::min(kernel.height, kernel.width), 1, "kernel");
  at_least(std::min(stride.height, stride.width), 1, "stride");
  at_least(std::min(padding.height, padding.width), 0, "padding");
  if (std::max({kernel.height, kernel.width, stride.height, stride.width, padding.height,
                padding.width}) > 1'000'000)
    throw InputError("kernel, stride and padding must be 1000000 or less");
  return {channels, windows(in[1], kernel.height, stride.height, padding.height, ceil_mode),
          windows(in[2], kernel.width, stride.width, padding.width, ceil_mode)};
}

// One overload per attribute type; kinds without attributes are told apart by kind.
struct ShapeRule {
  Operation& op;
  const std::vector<const Operation*>& in;

  void parameter(const char* suffix, Shape shape) const {
    check_size(shape, suffix);
    op.parameters.push_back({op.name + "." + suffix, std::move(shape)});
  }

  void operator()(const InputAttributes& a) const {
    if (a.shape.empty()) throw InputError("an input needs a shape");
    at_least(a.entries, 0, "entries");
    op.output_shape = a.shape;
  }

  void operator()(const ConvAttributes& a) const {
    const Shape& x = image(*in[0]);
    at_least(a.channels, 1, "channels");
    at_least(a.groups, 1, "groups");
    if (x[0] % a.groups != 0 || a.channels % a.groups != 0)
      throw InputError(fmt::format("{} groups do not divide {} input and {} output channels",
                                   a.groups, x[0], a.channels));
    op.output_shape = slide(x, a.channels, a.kernel, a.stride, a.padding, false);
    parameter("weight", {a.channels, x[0] / a.groups, a.kernel.height, a.kernel.width});
    if (a.bias) parameter("bias", {a.channels});
  }

  void operator()(const DenseAttributes& a) const {
    at_least(a.features, 1, "features");
    op.output_shape = in[0]->output_shape;
    op.output_shape.back() = a.features;
    const std::int64_t features_in = in[0]->output_shape.back();
    if (a.tied_to.empty())
      parameter("weight", {a.features, features_in});
    else
      op.parameters.push_back({a.tied_to, {a.features, features_in}});
    if (a.bias) parameter("bias", {a.features});
  }

  void operator()(const NormAttributes& a) const {
    if (!(a.epsilon > 0))
      throw InputError(fmt::format("epsilon must be above 0, found {}", a.epsilon));
    if (!(a.momentum >= 0 && a.momentum <= 1))
      throw InputError(fmt::format("momentum must be in [0, 1], found {}", a.momentum));
    op.output_shape = in[0]->output_shape;
    const bool batch = op.kind == OpKind::batch_norm;
    if (batch && op.output_shape.size() == 2)
      image(*in[0]);  // [steps, features] has no channels in front
    const std::int64_t size = batch ? op.output_shape.front() : op.output_shape.back();
    parameter("weight", {size});
    parameter("bias", {size});
  }

  void operator()(const PoolAttributes& a) const {
    const Shape& x = image(*in[0]);
    if (2 * a.padding.height > a.kernel.height || 2 * a.padding.width > a.kernel.width)
      throw InputError("the padding of a pool must not exceed half its kernel");
    op.output_shape = slide(x, x[0], a.kernel, a.stride, a.padding, a.ceil_mode);
  }

  void operator()(const LrnAttributes& a) const {
    at_least(a.size, 1, "size");
    op.output_shape = image(*in[0]);
  }

  void operator()(const DropoutAttributes& a) const {
    probability(a.p);
    op.output_shape = in[0]->output_shape;
  }

  void operator()(const SubsampleAttributes& a) const {
    const Shape& x = image(*in[0]);
    at_least(a.stride, 1, "stride");
    if (a.channels < x[0])
      throw InputError(fmt::format("{} output channels are fewer than the {} of '{}'", a.channels,
                                   x[0], in[0]->name));
    op.output_shape = {a.channels, (x[1] + a.stride - 1) / a.stride,
                       (x[2] + a.stride - 1) / a.stride};
  }

  void operator()(const EmbeddingAttributes& a) const {
    at_least(a.features, 1, "features");
    at_least(a.entries, 1, "entries");
    if (!is_tokens(*in[0]) || in[0]->output_shape.size() != 1)
      throw InputError(
          fmt::format("needs token numbers [steps], but '{}' is no such input", in[0]->name));
    const std::int64_t largest = std::get<InputAttributes>(in[0]->attributes).entries;
    if (largest > a.entries)
      throw InputError(fmt::format("has {} entries, but '{}' numbers its tokens up to {}",
                                   a.entries, in[0]->name, largest - 1));
    op.output_shape = {in[0]->output_shape[0], a.features};
    parameter("weight", {a.entries, a.features});
  }

  void operator()(const LstmAttributes& a) const {
    const Shape& x = sequence(*in[0]);
    at_least(a.hidden, 1, "hidden");
    if (a.biases < 0 || a.biases > 2)
      throw InputError(fmt::format("an LSTM has 0, 1 or 2 biases, found {}", a.biases));
    op.output_shape = {x[0], a.hidden};
    parameter("weight_ih", {4 * a.hidden, x[1]});
    parameter("weight_hh", {4 * a.hidden, a.hidden});
    if (a.biases == 1) parameter("bias", {4 * a.hidden});
    if (a.biases == 2) {
      parameter("bias_ih", {4 * a.hidden});
      parameter("bias_hh", {4 * a.hidden});
    }
  }

  void operator()(const AttentionAttributes& a) const {
    const Shape& query = sequence(*in[0]);
    at_least(a.heads, 1, "heads");
    probability(a.dropout);
    for (const Operation* other : in)
      if (other->output_shape != query)
        throw InputError(fmt::format("needs equal shapes, but '{}' gives {} and '{}' {}",
                                     in[0]->name, shape_text(query), other->name,
                                     shape_text(other->output_shape)));
    if (query[1] % a.heads != 0)
      throw InputError(fmt::format("{} heads do not divide {} features", a.heads, query[1]));
    op.output_shape = query;
  }

  void operator()(const LossAttributes& a) const {
    if (!(a.weight > 0))
      throw InputError(fmt::format("weight must be above 0, found {}", a.weight));
    const Shape& x = in[0]->output_shape;
    if (x.size() > 2 || x.back() < 2)
      throw InputError(fmt::format(
          "needs [classes] or [steps, classes] with 2 classes or more, but '{}' gives {}",
          in[0]->name, shape_text(x)));
    op.output_shape = {1};
  }

  void operator()(const OpaqueAttributes& a) const {
    at_least(a.elements, 1, "elements");
    if (!(a.flops >= 0 && a.bytes >= 0 && std::isfinite(a.flops) && std::isfinite(a.bytes)))
      throw InputError("flops and bytes must not be negative");
    op.output_shape = {1};
    // One tensor per operation: its name is the operation's.
    op.parameters.push_back({op.name, {a.elements}});
    check_size(op.parameters.back().shape, "elements");
  }

  void operator()(std::monostate) const {
    const Shape& x = in[0]->output_shape;
    op.output_shape = x;
    if (op.kind == OpKind::global_avg_pool) op.output_shape = {image(*in[0])[0]};
    if (op.kind == OpKind::flatten) op.output_shape = {element_count(x)};
    if (op.kind == OpKind::first_step) op.output_shape = {sequence(*in[0])[1]};
    if (op.kind == OpKind::add) {
      for (const Operation* other : in)
        if (other->output_shape != x)
          throw InputError(fmt::format("adds unequal shapes: '{}' gives {} and '{}' {}",
                                       in[0]->name, shape_text(x), other->name,
                                       shape_text(other->output_shape)));
    }
    if (op.kind == OpKind::concat) concatenate();
  }

  void concatenate() const {
    op.output_shape[0] = 0;
    for (const Operation* other : in) {
      const Shape& x = other->output_shape;
      if (x.size() != op.output_shape.size() ||
          !std::equal(x.begin() + 1, x.end(), op.output_shape.begin() + 1))
        throw InputError(fmt::format(
            "joins shapes that differ beyond the first dimension: '{}' gives {} and '{}' {}",
            in[0]->name, shape_text(in[0]->output_shape), other->name, shape_text(x)));
      op.output_shape[0] += x[0];
    }
  }
};

void check_inputs(const Operation& op, const std::vector<const Operation*>& inputs) {
  std::size_t least = 1, most = 1;
  switch (op.kind) {
    case OpKind::input:
      least = most = 0;
      break;
    case OpKind::opaque:
      least = 0;
      break;
    case OpKind::attention:
      least = most = 3;
      break;
    case OpKind::add:
    case OpKind::concat:
      least = 2, most = SIZE_MAX;
      break;
    default:
      break;
  }
  if (inputs.size() < least || inputs.size() > most)
    throw InputError(fmt::format("{} takes {}{} input(s), found {}", to_string(op.kind), least,
                                 most == SIZE_MAX ? " or more"
                                 : most > least   ? " or 1"
                                                  : "",
                                 inputs.size()));
  for (const Operation* input : inputs) {
    if (input->kind == OpKind::softmax_loss)
      throw InputError(fmt::format("reads '{}', a loss, which nothing may follow", input->name));
    if (is_tokens(*input) && op.kind != OpKind::embedding)
      throw InputError(
          fmt::format("'{}' gives token numbers, which only an embedding reads", input->name));
    if ((input->kind == OpKind::opaque) != (op.kind == OpKind::opaque))
      throw InputError("opaque operations form a chain of their own");
  }
}

}  // namespace

void infer_shape(Operation& operation, const std::vector<const Operation*>& inputs) {
  if (operation.attributes.index() != default_attributes(operation.kind).index())
    throw std::logic_error("attributes of another kind of operation");
  check_inputs(operation, inputs);
  operation.parameters.clear();
  std::visit(ShapeRule{operation, inputs}, operation.attributes);
  check_size(operation.output_shape, "output");
}

}  // namespace paceline
