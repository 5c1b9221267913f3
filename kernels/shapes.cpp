#include "kernels/shapes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/error.hpp"

namespace paceline::kernels {

std::int64_t elements(const Dims& dims) {
  std::int64_t count = 1;
  for (std::int64_t extent : dims) count *= extent;
  return count;
}

namespace {

// Caffe and PyTorch alike: with ceil_mode, the last window must start inside the image or its
// leading padding.
std::int64_t windows(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                     bool ceil_mode) {
  const std::int64_t room = size + 2 * pad - kernel;
  std::int64_t count = (ceil_mode ? room + stride - 1 : room) / stride + 1;
  if (ceil_mode && (count - 1) * stride >= size + pad) --count;
  return count;
}

ImageShape slide(const ImageShape& in, const Window& w, std::int64_t channels, bool ceil_mode) {
  return {in.batch, channels,
          windows(in.height, w.kernel_height, w.stride_height, w.pad_height, ceil_mode),
          windows(in.width, w.kernel_width, w.stride_width, w.pad_width, ceil_mode)};
}

using Field = std::pair<const char*, std::int64_t>;

void need(bool holds, const char* layer, const std::string& message) {
  if (!holds) throw InputError(fmt::format("{}: {}", layer, message));
}

void need_positive(const char* layer, std::initializer_list<Field> fields) {
  for (const auto& [name, value] : fields)
    need(value >= 1, layer, fmt::format("{} must be at least 1, found {}", name, value));
}

void need_positive(const char* layer, const Dims& dims) {
  need(!dims.empty(), layer, "needs at least one dimension");
  for (std::int64_t extent : dims)
    need(extent >= 1, layer, fmt::format("dimensions must be at least 1, found {}", extent));
}

void check_image(const char* layer, const ImageShape& x) {
  need_positive(
      layer,
      {{"batch", x.batch}, {"channels", x.channels}, {"height", x.height}, {"width", x.width}});
}

void check_window(const char* layer, const ImageShape& x, const Window& w) {
  need_positive(layer, {{"kernel height", w.kernel_height},
                        {"kernel width", w.kernel_width},
                        {"stride height", w.stride_height},
                        {"stride width", w.stride_width}});
  need(w.pad_height >= 0 && w.pad_width >= 0, layer, "padding must not be negative");
  need(
      w.kernel_height <= x.height + 2 * w.pad_height && w.kernel_width <= x.width + 2 * w.pad_width,
      layer,
      fmt::format("a window of {}x{} does not fit in an image of {}x{} with padding {}x{}",
                  w.kernel_height, w.kernel_width, x.height, x.width, w.pad_height, w.pad_width));
}

// What the free functions ask of each shape. One overload per shape and question.
struct Name {
  const char* operator()(const Conv2dShape&) const { return "conv2d"; }
  const char* operator()(const DenseShape&) const { return "dense"; }
  const char* operator()(const BatchNormShape&) const { return "batch_norm"; }
  const char* operator()(const LayerNormShape&) const { return "layer_norm"; }
  const char* operator()(const PointwiseShape& s) const {
    switch (s.function) {
      case PointwiseFunction::relu:
        return "relu";
      case PointwiseFunction::tanh:
        return "tanh";
      case PointwiseFunction::sigmoid:
        return "sigmoid";
      case PointwiseFunction::gelu:
        return "gelu";
    }
    return "pointwise";
  }
  const char* operator()(const PoolShape& s) const {
    return s.kind == PoolKind::max ? "max_pool" : "avg_pool";
  }
  const char* operator()(const LrnShape&) const { return "lrn"; }
  const char* operator()(const AddShape&) const { return "add"; }
  const char* operator()(const ConcatShape&) const { return "concat"; }
  const char* operator()(const ReshapeShape&) const { return "reshape"; }
  const char* operator()(const SubsamplePadShape&) const { return "subsample_pad"; }
  const char* operator()(const DropoutShape&) const { return "dropout"; }
  const char* operator()(const EmbeddingShape&) const { return "embedding"; }
  const char* operator()(const LstmShape&) const { return "lstm"; }
  const char* operator()(const SoftmaxLossShape&) const { return "softmax_loss"; }
};

struct Inputs {
  template <class Shape>
  std::vector<Dims> operator()(const Shape& s) const {
    if constexpr (requires { s.input.dims(); })
      return {s.input.dims()};
    else
      return {s.dims};
  }
  std::vector<Dims> operator()(const DenseShape& s) const { return {{s.rows, s.inputs}}; }
  std::vector<Dims> operator()(const LayerNormShape& s) const { return {{s.rows, s.features}}; }
  std::vector<Dims> operator()(const AddShape& s) const {
    return {static_cast<std::size_t>(s.inputs), s.dims};
  }
  std::vector<Dims> operator()(const ConcatShape& s) const {
    std::vector<Dims> all;
    for (std::int64_t c : s.channels) all.push_back({s.batch, c, s.height, s.width});
    return all;
  }
  std::vector<Dims> operator()(const ReshapeShape& s) const { return {s.input}; }
  std::vector<Dims> operator()(const EmbeddingShape& s) const { return {{s.rows}}; }
  std::vector<Dims> operator()(const LstmShape& s) const { return {{s.batch, s.steps, s.inputs}}; }
  std::vector<Dims> operator()(const SoftmaxLossShape& s) const {
    return {{s.rows, s.classes}, {s.rows}};
  }
};

struct Output {
  template <class Shape>
  Dims operator()(const Shape& s) const {
    if constexpr (requires { s.output().dims(); })
      return s.output().dims();
    else
      return Inputs{}(s).front();
  }
  Dims operator()(const DenseShape& s) const { return {s.rows, s.outputs}; }
  Dims operator()(const ConcatShape& s) const {
    std::int64_t channels = 0;
    for (std::int64_t c : s.channels) channels += c;
    return {s.batch, channels, s.height, s.width};
  }
  Dims operator()(const ReshapeShape& s) const { return s.output; }
  Dims operator()(const EmbeddingShape& s) const { return {s.rows, s.features}; }
  Dims operator()(const LstmShape& s) const { return {s.batch, s.steps, s.hidden}; }
  Dims operator()(const SoftmaxLossShape&) const { return {2}; }
};

struct Parameters {
  template <class Shape>
  std::vector<Dims> operator()(const Shape&) const {
    return {};
  }
  std::vector<Dims> operator()(const Conv2dShape& s) const {
    std::vector<Dims> all{
        {s.channels, s.input.channels / s.groups, s.window.kernel_height, s.window.kernel_width}};
    if (s.bias) all.push_back({s.channels});
    return all;
  }
  std::vector<Dims> operator()(const DenseShape& s) const {
    std::vector<Dims> all{{s.outputs, s.inputs}};
    if (s.bias) all.push_back({s.outputs});
    return all;
  }
  std::vector<Dims> operator()(const BatchNormShape& s) const {
    return {{s.input.channels}, {s.input.channels}};
  }
  std::vector<Dims> operator()(const LayerNormShape& s) const {
    return {{s.features}, {s.features}};
  }
  std::vector<Dims> operator()(const EmbeddingShape& s) const { return {{s.entries, s.features}}; }
  std::vector<Dims> operator()(const LstmShape& s) const {
    std::vector<Dims> all{{4 * s.hidden, s.inputs}, {4 * s.hidden, s.hidden}};
    for (int i = 0; i < s.biases; ++i) all.push_back({4 * s.hidden});
    return all;
  }
};

struct Check {
  void operator()(const Conv2dShape& s) const {
    check_image("conv2d", s.input);
    need_positive("conv2d", {{"output channels", s.channels}, {"groups", s.groups}});
    need(s.input.channels % s.groups == 0 && s.channels % s.groups == 0, "conv2d",
         fmt::format("{} groups do not divide {} input and {} output channels", s.groups,
                     s.input.channels, s.channels));
    check_window("conv2d", s.input, s.window);
  }
  void operator()(const DenseShape& s) const {
    need_positive("dense", {{"rows", s.rows}, {"inputs", s.inputs}, {"outputs", s.outputs}});
  }
  void operator()(const BatchNormShape& s) const {
    check_image("batch_norm", s.input);
    need(s.epsilon > 0, "batch_norm", "epsilon must be positive");
    need(s.momentum >= 0 && s.momentum <= 1, "batch_norm", "momentum must be between 0 and 1");
  }
  void operator()(const LayerNormShape& s) const {
    need_positive("layer_norm", {{"rows", s.rows}, {"features", s.features}});
    need(s.epsilon > 0, "layer_norm", "epsilon must be positive");
  }
  void operator()(const PointwiseShape& s) const { need_positive(Name{}(s), s.dims); }
  void operator()(const PoolShape& s) const {
    check_image(Name{}(s), s.input);
    check_window(Name{}(s), s.input, s.window);
    need(2 * s.window.pad_height <= s.window.kernel_height &&
             2 * s.window.pad_width <= s.window.kernel_width,
         Name{}(s), "the padding must not exceed half the kernel");
  }
  void operator()(const LrnShape& s) const {
    check_image("lrn", s.input);
    need_positive("lrn", {{"size", s.size}});
    need(s.size % 2 == 1, "lrn", "size must be odd");
    need(s.k > 0 && s.alpha >= 0, "lrn", "k must be positive and alpha not negative");
  }
  void operator()(const AddShape& s) const {
    need_positive("add", s.dims);
    need(s.inputs >= 2, "add", "needs two or more inputs");
  }
  void operator()(const ConcatShape& s) const {
    need_positive("concat", {{"batch", s.batch}, {"height", s.height}, {"width", s.width}});
    need(!s.channels.empty(), "concat", "needs inputs");
    need_positive("concat", s.channels);
  }
  void operator()(const ReshapeShape& s) const {
    need_positive("reshape", s.input);
    need_positive("reshape", s.output);
    need(elements(s.input) == elements(s.output), "reshape",
         fmt::format("{} elements cannot become {}", elements(s.input), elements(s.output)));
  }
  void operator()(const SubsamplePadShape& s) const {
    check_image("subsample_pad", s.input);
    need_positive("subsample_pad", {{"stride", s.stride}});
    need(s.channels >= s.input.channels, "subsample_pad",
         fmt::format("{} output channels are fewer than {} input channels", s.channels,
                     s.input.channels));
  }
  void operator()(const DropoutShape& s) const {
    need_positive("dropout", s.dims);
    need(s.probability >= 0 && s.probability < 1, "dropout",
         "the probability must be at least 0 and below 1");
  }
  void operator()(const EmbeddingShape& s) const {
    need_positive("embedding",
                  {{"rows", s.rows}, {"entries", s.entries}, {"features", s.features}});
    need(s.entries <= 1 << 24, "embedding", "at most 2^24 entries: token numbers travel in fp32");
  }
  void operator()(const LstmShape& s) const {
    need_positive(
        "lstm",
        {{"batch", s.batch}, {"steps", s.steps}, {"inputs", s.inputs}, {"hidden", s.hidden}});
    need(s.biases >= 0 && s.biases <= 2, "lstm", "has 0, 1 or 2 biases");
  }
  void operator()(const SoftmaxLossShape& s) const {
    need_positive("softmax_loss", {{"rows", s.rows}, {"classes", s.classes}});
    need(s.classes <= 1 << 24, "softmax_loss", "at most 2^24 classes: labels travel in fp32");
  }
};

}  // namespace

ImageShape Conv2dShape::output() const {
  return slide(input, window, channels, false);
}
ImageShape PoolShape::output() const {
  return slide(input, window, input.channels, ceil_mode);
}
ImageShape SubsamplePadShape::output() const {
  return {input.batch, channels, (input.height + stride - 1) / stride,
          (input.width + stride - 1) / stride};
}

PoolShape global_average(const ImageShape& input) {
  return {.input = input,
          .window = {.kernel_height = input.height, .kernel_width = input.width},
          .kind = PoolKind::average};
}

std::string layer_name(const LayerShape& shape) {
  return std::visit(Name{}, shape);
}
std::vector<Dims> input_dims(const LayerShape& shape) {
  return std::visit(Inputs{}, shape);
}
Dims output_dims(const LayerShape& shape) {
  return std::visit(Output{}, shape);
}
std::vector<Dims> parameter_dims(const LayerShape& shape) {
  return std::visit(Parameters{}, shape);
}
void check_shape(const LayerShape& shape) {
  std::visit(Check{}, shape);
}

std::int64_t state_elements(const LayerShape& shape) {
  if (const auto* norm = std::get_if<BatchNormShape>(&shape)) return 2 * norm->input.channels;
  if (const auto* lstm = std::get_if<LstmShape>(&shape)) return 2 * lstm->batch * lstm->hidden;
  return 0;
}

std::vector<float> initial_state(const LayerShape& shape) {
  std::vector<float> state(static_cast<std::size_t>(state_elements(shape)), 0.0f);
  if (const auto* norm = std::get_if<BatchNormShape>(&shape))
    std::fill(state.begin() + norm->input.channels, state.end(), 1.0f);
  return state;
}

}  // namespace paceline::kernels
