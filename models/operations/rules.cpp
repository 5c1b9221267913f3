#include "models/operations/rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "models/operation.hpp"

namespace paceline {
namespace {

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

// No tensor of one sample or of the parameters comes near this; larger ones are typing errors that
// would overflow.
constexpr double kMostElements = 1e12;

void check_size(const TensorShape& shape, const char* what) {
  double product = 1;
  for (const std::int64_t size : shape) {
    if (size < 1)
      throw InputError(fmt::format("{} {} has a dimension below 1", what, shape_text(shape)));
    product *= static_cast<double>(size);
  }
  if (product > kMostElements)
    throw InputError(fmt::format("{} {} is too large", what, shape_text(shape)));
}

}  // namespace

std::int64_t element_count(const TensorShape& shape) {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) product *= size;
  return product;
}

std::string shape_text(const TensorShape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

const std::string& Inference::name_of(std::size_t input) const {
  return inputs_[input]->name;
}

const TensorShape& Inference::shape(std::size_t input) const {
  return inputs_[input]->output_shape;
}

const TensorShape& Inference::image(std::size_t input) const {
  if (shape(input).size() != 3)
    throw InputError(fmt::format("needs an image [channels, height, width], but '{}' gives {}",
                                 name_of(input), shape_text(shape(input))));
  return shape(input);
}

const TensorShape& Inference::sequence(std::size_t input) const {
  if (shape(input).size() != 2)
    throw InputError(fmt::format("needs a sequence [steps, features], but '{}' gives {}",
                                 name_of(input), shape_text(shape(input))));
  return shape(input);
}

std::int64_t Inference::token_entries(std::size_t input) const {
  const auto* source = std::get_if<InputOp>(&inputs_[input]->attributes);
  return source == nullptr ? 0 : source->entries;
}

void Inference::output(TensorShape shape) {
  operation_.output_shape = std::move(shape);
}

void Inference::parameter(const char* suffix, TensorShape shape) {
  check_size(shape, suffix);
  operation_.parameters.push_back({operation_.name + "." + suffix, std::move(shape)});
}

void Inference::tied_parameter(const std::string& tensor, TensorShape shape) {
  operation_.parameters.push_back({tensor, std::move(shape)});
}

void Inference::parameter_of_same_name(TensorShape shape) {
  check_size(shape, "elements");
  operation_.parameters.push_back({operation_.name, std::move(shape)});
}

void Inference::at_least(std::int64_t value, std::int64_t least, const char* what) {
  if (value < least)
    throw InputError(fmt::format("{} must be {} or more, found {}", what, least, value));
}

void Inference::probability(double p) {
  if (!(p >= 0 && p < 1))
    throw InputError(fmt::format("the dropout probability must be in [0, 1), found {}", p));
}

void Inference::refuse_shapes(const char* what, std::size_t input) const {
  throw InputError(fmt::format("{} '{}' gives {} and '{}' {}", what, name_of(0),
                               shape_text(shape()), name_of(input), shape_text(shape(input))));
}

void Inference::finish() const {
  check_size(operation_.output_shape, "output");
}

TensorShape slide(const TensorShape& in, std::int64_t channels, Extent kernel, Extent stride,
                  Extent padding, bool ceil_mode) {
  Inference::at_least(std::min(kernel.height, kernel.width), 1, "kernel");
  Inference::at_least(std::min(stride.height, stride.width), 1, "stride");
  Inference::at_least(std::min(padding.height, padding.width), 0, "padding");
  if (std::max({kernel.height, kernel.width, stride.height, stride.width, padding.height,
                padding.width}) > 1'000'000)
    throw InputError("kernel, stride and padding must be 1000000 or less");
  return {channels, windows(in[1], kernel.height, stride.height, padding.height, ceil_mode),
          windows(in[2], kernel.width, stride.width, padding.width, ceil_mode)};
}

TensorShape pooled(const TensorShape& image, Extent kernel, Extent stride, Extent padding,
                   bool ceil_mode) {
  if (2 * padding.height > kernel.height || 2 * padding.width > kernel.width)
    throw InputError("the padding of a pool must not exceed half its kernel");
  return slide(image, image[0], kernel, stride, padding, ceil_mode);
}

SampleCosts parameter_costs(const Sizes& s) {
  SampleCosts c;
  c.parameter_bytes = c.gradient_bytes = kElementBytes * s.parameters;
  return c;
}

SampleCosts element_costs(const Sizes& s, double forward, double backward,
                             double forward_elements, double backward_elements) {
  SampleCosts c = parameter_costs(s);
  c.forward_flops = forward * s.out;
  c.backward_data_flops = backward * s.out;
  c.forward_bytes = kElementBytes * forward_elements;
  c.backward_bytes = kElementBytes * backward_elements;
  return c;
}

SampleCosts matrix_costs(const Sizes& s, double macs, bool bias) {
  SampleCosts c = parameter_costs(s);
  c.macs = macs;
  c.forward_flops = 2 * macs + (bias ? s.out : 0);
  c.backward_data_flops = 2 * macs;
  c.backward_weight_flops = 2 * macs + (bias ? s.out : 0);
  c.forward_bytes = kElementBytes * (s.in + s.out);
  c.backward_weight_bytes = kElementBytes * (s.in + s.out);
  c.backward_bytes = c.backward_weight_bytes + kElementBytes * (s.out + s.in_gradient);
  return c;
}

double inverse_root(std::int64_t n) {
  return 1 / std::sqrt(static_cast<double>(n));
}

kernels::ImageShape BatchedInputs::image() const {
  const TensorShape& x = shape();
  return {batch, x[0], x.size() > 1 ? x[1] : 1, x.size() > 2 ? x[2] : 1};
}

std::int64_t BatchedInputs::rows() const {
  return elements() / shape().back();
}

std::int64_t BatchedInputs::elements() const {
  return batch * element_count(shape());
}

kernels::Window window(Extent kernel, Extent stride, Extent padding) {
  return {kernel.height, kernel.width, stride.height, stride.width, padding.height, padding.width};
}

}  // namespace paceline
