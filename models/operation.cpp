#include "models/operation.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::array<std::pair<OpKind, const char*>, 24> kKindNames{{
    {OpKind::input, "input"},
    {OpKind::conv2d, "conv2d"},
    {OpKind::dense, "dense"},
    {OpKind::batch_norm, "batch_norm"},
    {OpKind::layer_norm, "layer_norm"},
    {OpKind::relu, "relu"},
    {OpKind::tanh, "tanh"},
    {OpKind::sigmoid, "sigmoid"},
    {OpKind::gelu, "gelu"},
    {OpKind::max_pool, "max_pool"},
    {OpKind::avg_pool, "avg_pool"},
    {OpKind::global_avg_pool, "global_avg_pool"},
    {OpKind::lrn, "lrn"},
    {OpKind::add, "add"},
    {OpKind::concat, "concat"},
    {OpKind::dropout, "dropout"},
    {OpKind::flatten, "flatten"},
    {OpKind::subsample_pad, "subsample_pad"},
    {OpKind::first_step, "first_step"},
    {OpKind::embedding, "embedding"},
    {OpKind::lstm, "lstm"},
    {OpKind::attention, "attention"},
    {OpKind::softmax_loss, "softmax_loss"},
    {OpKind::opaque, "opaque"},
}};

}  // namespace

std::string to_string(OpKind kind) {
  for (const auto& [value, name] : kKindNames)
    if (value == kind) return name;
  throw std::logic_error("operation kind without a name");
}

std::vector<std::string> op_kind_names() {
  std::vector<std::string> names;
  names.reserve(kKindNames.size());
  for (const auto& entry : kKindNames) names.emplace_back(entry.second);
  return names;
}

OpKind op_kind_from_string(std::string_view name) {
  for (const auto& [value, text] : kKindNames)
    if (name == text) return value;
  throw InputError(unknown_name("operation kind", name, op_kind_names()));
}

Attributes default_attributes(OpKind kind) {
  switch (kind) {
    case OpKind::input:
      return InputAttributes{};
    case OpKind::conv2d:
      return ConvAttributes{};
    case OpKind::dense:
      return DenseAttributes{};
    case OpKind::batch_norm:
    case OpKind::layer_norm:
      return NormAttributes{};
    case OpKind::max_pool:
    case OpKind::avg_pool:
      return PoolAttributes{};
    case OpKind::lrn:
      return LrnAttributes{};
    case OpKind::dropout:
      return DropoutAttributes{};
    case OpKind::subsample_pad:
      return SubsampleAttributes{};
    case OpKind::embedding:
      return EmbeddingAttributes{};
    case OpKind::lstm:
      return LstmAttributes{};
    case OpKind::attention:
      return AttentionAttributes{};
    case OpKind::softmax_loss:
      return LossAttributes{};
    case OpKind::opaque:
      return OpaqueAttributes{};
    case OpKind::relu:
    case OpKind::tanh:
    case OpKind::sigmoid:
    case OpKind::gelu:
    case OpKind::global_avg_pool:
    case OpKind::add:
    case OpKind::concat:
    case OpKind::flatten:
    case OpKind::first_step:
      return std::monostate{};
  }
  throw std::logic_error("operation kind without attributes");
}

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::int64_t ParameterTensor::elements() const {
  return element_count(shape);
}

std::int64_t Operation::output_elements() const {
  return element_count(output_shape);
}

std::int64_t Operation::parameter_elements() const {
  std::int64_t sum = 0;
  for (const ParameterTensor& tensor : parameters) sum += tensor.elements();
  return sum;
}

}  // namespace paceline
