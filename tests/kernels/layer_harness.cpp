#include "layer_harness.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

namespace paceline::kernels::testing {
namespace {

template <class T>
std::vector<T> to(const Values& values) {
  std::vector<T> all(values.size());
  std::transform(values.begin(), values.end(), all.begin(),
                 [](double v) { return static_cast<T>(v); });
  return all;
}
template <class T>
Values from(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

Values random_values(std::size_t n, std::mt19937_64& random, double low = -1, double high = 1) {
  Values all(n);
  std::uniform_real_distribution<double> uniform(low, high);
  // Rounded to fp32, so that all precisions see the same numbers.
  for (double& v : all) v = static_cast<float>(uniform(random));
  return all;
}

Values random_indices(std::size_t n, std::int64_t below, std::mt19937_64& random) {
  Values all(n);
  std::uniform_int_distribution<std::int64_t> uniform(0, below - 1);
  for (double& v : all) v = static_cast<double>(uniform(random));
  return all;
}

std::size_t size_of(const Dims& dims) {
  return static_cast<std::size_t>(elements(dims));
}

template <class T>
std::vector<T*> pointers(std::vector<std::vector<T>>& all) {
  std::vector<T*> result;
  for (auto& one : all) result.push_back(one.data());
  return result;
}

// The layer's two passes, whatever its activations are made of.
template <class T>
LayerResult run(const LayerCase& c, BasicLayer<T>& layer,
                const std::function<std::unique_ptr<Activation>(const Dims&)>& make,
                const std::function<void(const std::vector<T>&, Activation&)>& write,
                const std::function<std::vector<T>(const Activation&)>& read) {
  const auto dims = input_dims(c.shape);
  std::vector<std::unique_ptr<Activation>> inputs, gradients;
  std::vector<const Activation*> input_pointers;
  std::vector<Activation*> gradient_pointers;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    inputs.push_back(make(dims[i]));
    write(to<T>(c.inputs[i]), *inputs.back());
    input_pointers.push_back(inputs.back().get());
    gradients.push_back(make(dims[i]));
    gradient_pointers.push_back(differentiable(c.shape, i) ? gradients.back().get() : nullptr);
  }
  std::vector<std::vector<T>> parameters, parameter_gradients;
  for (const Values& p : c.parameters) {
    parameters.push_back(to<T>(p));
    parameter_gradients.emplace_back(p.size(), T(77));
  }
  const auto parameter_pointers = pointers(parameters);
  const std::vector<const T*> constant(parameter_pointers.begin(), parameter_pointers.end());
  std::vector<T> state = to<T>(c.state);
  const auto output = make(output_dims(c.shape)), output_gradient = make(output_dims(c.shape));

  layer.forward({input_pointers, *output, constant, state.data(), c.training, c.seed});
  LayerResult result{from(read(*output)), from(state), {}, {}};
  if (!c.training) return result;
  write(to<T>(c.output_gradient), *output_gradient);
  layer.backward({input_pointers, *output, *output_gradient, constant, gradient_pointers,
                  pointers(parameter_gradients)});
  for (std::size_t i = 0; i < dims.size(); ++i)
    result.input_gradients.push_back(gradient_pointers[i] ? from(read(*gradients[i])) : Values{});
  for (const auto& gradient : parameter_gradients)
    result.parameter_gradients.push_back(from(gradient));
  return result;
}

}  // namespace

bool differentiable(const LayerShape& shape, std::size_t input) {
  if (std::holds_alternative<EmbeddingShape>(shape)) return false;
  return !std::holds_alternative<SoftmaxLossShape>(shape) || input == 0;
}

LayerCase random_case(const LayerShape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  LayerCase c;
  c.shape = shape;
  for (const Dims& dims : input_dims(shape)) {
    const bool tokens = !differentiable(shape, c.inputs.size());
    const auto* loss = std::get_if<SoftmaxLossShape>(&shape);
    const auto* embedding = std::get_if<EmbeddingShape>(&shape);
    const std::int64_t below = loss ? loss->classes : embedding ? embedding->entries : 0;
    c.inputs.push_back(tokens ? random_indices(size_of(dims), below, random)
                              : random_values(size_of(dims), random));
  }
  for (const Dims& dims : parameter_dims(shape))
    c.parameters.push_back(random_values(size_of(dims), random));
  c.state = random_values(static_cast<std::size_t>(state_elements(shape)), random, 0.1, 1);
  c.output_gradient = random_values(size_of(output_dims(shape)), random);
  return c;
}

std::string describe(const LayerShape& shape) {
  std::string text = layer_name(shape);
  for (const Dims& dims : input_dims(shape)) text += fmt::format(" {}", dims);
  text += fmt::format(" -> {}", output_dims(shape));
  if (const auto* conv = std::get_if<Conv2dShape>(&shape)) {
    const Window& w = conv->window;
    text += fmt::format(", kernel {}x{}, stride {}x{}, pad {}x{}, {} groups, bias {}",
                        w.kernel_height, w.kernel_width, w.stride_height, w.stride_width,
                        w.pad_height, w.pad_width, conv->groups, conv->bias);
  }
  return text;
}

template <class T>
LayerResult run_reference(const LayerCase& c) {
  const auto layer = make_reference_layer<T>(c.shape);
  return run<T>(
      c, *layer, [](const Dims& dims) { return std::make_unique<PlainActivation<T>>(dims); },
      [](const std::vector<T>& host, Activation& a) {
        std::copy(host.begin(), host.end(), values<T>(a));
      },
      [](const Activation& a) {
        return std::vector<T>(values<T>(a), values<T>(a) + elements(a.dims()));
      });
}
template LayerResult run_reference<float>(const LayerCase&);
template LayerResult run_reference<double>(const LayerCase&);

LayerResult run_backend(Backend& backend, const LayerCase& c) {
  const auto layer = backend.make_layer(c.shape);
  return run<float>(
      c, *layer, [&](const Dims& dims) { return backend.make_activation(dims); },
      [&](const std::vector<float>& host, Activation& a) { backend.write(host, a); },
      [&](const Activation& a) {
        std::vector<float> host(size_of(a.dims()));
        backend.read(a, host);
        return host;
      });
}

namespace {

std::vector<LayerShape> fixed_shapes() {
  const ImageShape image{2, 3, 7, 5};
  std::vector<LayerShape> all{
      Conv2dShape{image, 4, square_window(3, 1, 1)},
      Conv2dShape{image, 5, square_window(3, 2, 1), 1, true},
      Conv2dShape{{2, 16, 9, 9}, 32, square_window(3, 2, 1)},
      Conv2dShape{{2, 16, 8, 9}, 32, square_window(3, 1, 1)},  // Winograd's ground
      Conv2dShape{{1, 20, 11, 6}, 17, square_window(3, 1, 1), 1, true},
      Conv2dShape{{1, 6, 5, 8}, 4, {3, 2, 2, 3, 1, 0}, 2, true},
      Conv2dShape{{3, 4, 6, 6}, 4, square_window(3, 1, 1), 4},  // depthwise
      Conv2dShape{{2, 8, 5, 5}, 16, square_window(1, 2)},
      Conv2dShape{{1, 1, 12, 12}, 6, square_window(5), 1, true},
      DenseShape{3, 7, 5},
      DenseShape{4, 17, 3, false},
      DenseShape{1, 1, 1},
      BatchNormShape{image},
      BatchNormShape{{4, 16, 3, 3}, 1e-3, 0.3, true},
      BatchNormShape{{5, 3, 1, 1}},
      LayerNormShape{4, 9},
      LayerNormShape{1, 33, 1e-3},
      LrnShape{image, 5, 0.3, 0.75, 2},
      LrnShape{{2, 7, 3, 2}, 3, 1.0, 0.5, 1},
      AddShape{{2, 3, 5}},
      AddShape{{2, 3, 4, 5}, 3, true},
      AddShape{{2, 16, 3, 3}, 2, true},
      ConcatShape{2, {3, 1, 5}, 3, 2},
      ConcatShape{1, {16, 32}, 4, 4},
      ReshapeShape{{2, 3, 4, 5}, {2, 60}},
      SubsamplePadShape{{2, 3, 7, 6}, 8, 2},
      SubsamplePadShape{{1, 4, 4, 4}, 4, 3},
      DropoutShape{{3, 11}, 0.4, 2},
      DropoutShape{{2, 3, 4, 5}, 0.1, 3},
      EmbeddingShape{6, 5, 3},
      LstmShape{2, 4, 3, 5, 2},
      LstmShape{3, 1, 2, 4, 1},
      LstmShape{1, 6, 4, 3, 0},
      SoftmaxLossShape{4, 7},
      SoftmaxLossShape{1, 2},
  };
  for (const auto function : {PointwiseFunction::relu, PointwiseFunction::tanh,
                              PointwiseFunction::sigmoid, PointwiseFunction::gelu})
    all.push_back(PointwiseShape{{2, 3, 5, 4}, function});
  for (const PoolKind kind : {PoolKind::max, PoolKind::average})
    for (const bool ceil_mode : {false, true})
      for (const bool count_padding : {false, true}) {
        all.push_back(PoolShape{image, square_window(3, 2, 1), kind, ceil_mode, count_padding});
        all.push_back(PoolShape{{1, 2, 8, 6}, {2, 3, 2, 3, 0, 1}, kind, ceil_mode, count_padding});
      }
  all.push_back(global_average(image));
  return all;
}

}  // namespace

std::vector<LayerShape> layer_shapes(int random, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(generator);
  };
  std::vector<LayerShape> all = fixed_shapes();
  for (int i = 0; i < random; ++i) {
    const std::int64_t groups = pick(1, 3);
    const Window window{pick(1, 4), pick(1, 4), pick(1, 3), pick(1, 3), pick(0, 2), pick(0, 2)};
    const ImageShape image{pick(1, 3), groups * pick(1, 5), pick(4, 11), pick(4, 11)};
    all.push_back(Conv2dShape{image, groups * pick(1, 6), window, groups, pick(0, 1) == 1});
    all.push_back(DenseShape{pick(1, 6), pick(1, 40), pick(1, 20), pick(0, 1) == 1});
    all.push_back(BatchNormShape{image, 1e-5, 0.1, pick(0, 1) == 1});
    all.push_back(
        LstmShape{pick(1, 4), pick(1, 5), pick(1, 6), pick(1, 7), static_cast<int>(pick(0, 2))});
    Window pool = window;
    pool.pad_height = std::min(pool.pad_height, pool.kernel_height / 2);
    pool.pad_width = std::min(pool.pad_width, pool.kernel_width / 2);
    all.push_back(PoolShape{image, pool, pick(0, 1) ? PoolKind::max : PoolKind::average,
                            pick(0, 1) == 1, pick(0, 1) == 1});
  }
  return all;
}

}  // namespace paceline::kernels::testing
