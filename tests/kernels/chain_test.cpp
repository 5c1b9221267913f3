#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layer_harness.hpp"
#include "vector_support.hpp"

// Activations handed from layer to layer in whatever layout the backend likes.
namespace paceline::kernels::testing {
namespace {

struct ChainResult {
  Floats output, input_gradient;
  std::vector<Floats> parameter_gradients;
};

ChainResult run_chain(Backend& backend, const std::vector<LayerShape>& shapes) {
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<std::unique_ptr<Activation>> values, gradients;
  std::vector<std::vector<Floats>> parameters, parameter_gradients;
  const Dims input = input_dims(shapes.front())[0], output = output_dims(shapes.back());
  const auto size = [](const Dims& dims) { return static_cast<std::size_t>(elements(dims)); };
  values.push_back(backend.make_activation(input));
  gradients.push_back(backend.make_activation(input));
  backend.write(random_floats(size(input), 1), *values[0]);
  for (const LayerShape& shape : shapes) {
    layers.push_back(backend.make_layer(shape));
    values.push_back(backend.make_activation(output_dims(shape)));
    gradients.push_back(backend.make_activation(output_dims(shape)));
    parameters.emplace_back();
    for (const Dims& dims : parameter_dims(shape))
      parameters.back().push_back(random_floats(size(dims), 10 + parameters.size(), 0.2f));
    parameter_gradients.push_back(parameters.back());
  }
  const auto pointers = [](auto& arrays) {
    std::vector<float*> all;
    for (Floats& one : arrays) all.push_back(one.data());
    return all;
  };
  for (std::size_t i = 0; i < layers.size(); ++i) {
    auto state = initial_state(shapes[i]);
    const auto mutable_parameters = pointers(parameters[i]);
    const std::vector<const float*> constant(mutable_parameters.begin(), mutable_parameters.end());
    const std::vector<const Activation*> inputs{values[i].get()};
    layers[i]->forward({inputs, *values[i + 1], constant, state.data()});
  }
  backend.write(random_floats(size(output), 2), *gradients.back());
  for (std::size_t i = layers.size(); i-- > 0;) {
    const auto mutable_parameters = pointers(parameters[i]);
    const std::vector<const float*> constant(mutable_parameters.begin(), mutable_parameters.end());
    const std::vector<const Activation*> inputs{values[i].get()};
    const std::vector<Activation*> wanted{gradients[i].get()};
    layers[i]->backward({inputs, *values[i + 1], *gradients[i + 1], constant, wanted,
                         pointers(parameter_gradients[i])});
  }
  ChainResult result{Floats(size(output)), Floats(size(input)), {}};
  backend.read(*values.back(), result.output);
  backend.read(*gradients.front(), result.input_gradient);
  for (const auto& layer : parameter_gradients)
    result.parameter_gradients.insert(result.parameter_gradients.end(), layer.begin(), layer.end());
  return result;
}

void expect_near(const Floats& expected, const Floats& found) {
  float largest = 0;
  for (float v : expected) largest = std::max(largest, std::abs(v));
  ASSERT_GT(largest, 0);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(expected[i], found[i], 1e-4 * largest + 1e-6) << "element " << i;
}

void expect_backends_agree(const std::vector<LayerShape>& shapes) {
  const auto reference = make_backend("reference"), fast = make_backend(fastest_cpu_backend());
  const ChainResult expected = run_chain(*reference, shapes), found = run_chain(*fast, shapes);
  expect_near(expected.output, found.output);
  expect_near(expected.input_gradient, found.input_gradient);
  for (std::size_t i = 0; i < expected.parameter_gradients.size(); ++i)
    expect_near(expected.parameter_gradients[i], found.parameter_gradients[i]);
}

TEST(Chain, ImagesThroughBlockedLayouts) {
  const ImageShape wide{4, 16, 12, 12}, pooled{4, 32, 6, 6}, padded{4, 48, 3, 3};
  expect_backends_agree({Conv2dShape{{4, 3, 12, 12}, 16, square_window(3, 1, 1)},
                         BatchNormShape{.input = wide, .relu = true},
                         Conv2dShape{wide, 32, square_window(3, 1, 1), 1, true},
                         PointwiseShape{{4, 32, 12, 12}, PointwiseFunction::tanh},
                         PoolShape{{4, 32, 12, 12}, square_window(2, 2)}, BatchNormShape{pooled},
                         LrnShape{pooled}, SubsamplePadShape{pooled, 48},
                         Conv2dShape{padded, 20, square_window(2), 4},
                         BatchNormShape{{4, 20, 2, 2}}, global_average({4, 20, 2, 2}),
                         DenseShape{4, 20, 7}, LayerNormShape{4, 7}});
}

TEST(Chain, SequencesThroughReshapes) {
  expect_backends_agree({LstmShape{3, 5, 4, 6}, ReshapeShape{{3, 5, 6}, {15, 6}},
                         DenseShape{15, 6, 8}, PointwiseShape{{15, 8}, PointwiseFunction::gelu},
                         ReshapeShape{{15, 8}, {3, 5, 8}}, LstmShape{3, 5, 8, 2, 1}});
}

}  // namespace
}  // namespace paceline::kernels::testing
