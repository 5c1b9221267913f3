#include <gtest/gtest.h>

#include <cmath>

#include "layer_harness.hpp"

// Every layer's backward pass against central differences of its forward pass, in double.
namespace paceline::kernels::testing {
namespace {

// The scalar whose gradient backward() computes: the output weighted with the output gradient.
// Element 1 of a loss counts hits and has no gradient.
double objective(const LayerCase& c) {
  const Values y = run_reference<double>(c).output;
  const bool loss = std::holds_alternative<SoftmaxLossShape>(c.shape);
  double sum = 0;
  for (std::size_t i = 0; i < (loss ? 1 : y.size()); ++i) sum += y[i] * c.output_gradient[i];
  return sum;
}

void expect_gradient(LayerCase& c, Values& variables, const Values& gradient, const char* what) {
  constexpr double step = 1e-5;
  ASSERT_EQ(gradient.size(), variables.size());
  const std::size_t stride = variables.size() / 40 + 1;  // a sample of large arrays
  for (std::size_t i = 0; i < variables.size(); i += stride) {
    const double value = variables[i];
    variables[i] = value + step;
    const double above = objective(c);
    variables[i] = value - step;
    const double below = objective(c);
    variables[i] = value;
    const double slope = (above - below) / (2 * step);
    ASSERT_NEAR(gradient[i], slope, 1e-7 + 1e-6 * std::abs(slope)) << what << " element " << i;
  }
}

void check(const LayerShape& shape, std::uint64_t seed) {
  SCOPED_TRACE(describe(shape));
  LayerCase c = random_case(shape, seed);
  const LayerResult result = run_reference<double>(c);
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (differentiable(shape, i))
      expect_gradient(c, c.inputs[i], result.input_gradients[i], "input");
  for (std::size_t i = 0; i < c.parameters.size(); ++i)
    expect_gradient(c, c.parameters[i], result.parameter_gradients[i], "parameter");
}

TEST(Gradient, EveryLayerAgreesWithCentralDifferences) {
  std::uint64_t seed = 1;
  for (const LayerShape& shape : layer_shapes(8, 11)) check(shape, seed++);
}

TEST(Gradient, FloatAgreesWithDouble) {
  std::uint64_t seed = 1;
  for (const LayerShape& shape : layer_shapes(8, 12)) {
    SCOPED_TRACE(describe(shape));
    const LayerCase c = random_case(shape, seed++);
    const LayerResult exact = run_reference<double>(c), rounded = run_reference<float>(c);
    const auto near = [](const Values& a, const Values& b) {
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(a[i], b[i], 2e-5 * (1 + std::abs(a[i]))) << "element " << i;
    };
    near(exact.output, rounded.output);
    near(exact.state, rounded.state);
    for (std::size_t i = 0; i < exact.input_gradients.size(); ++i)
      near(exact.input_gradients[i], rounded.input_gradients[i]);
    for (std::size_t i = 0; i < exact.parameter_gradients.size(); ++i)
      near(exact.parameter_gradients[i], rounded.parameter_gradients[i]);
  }
}

}  // namespace
}  // namespace paceline::kernels::testing
