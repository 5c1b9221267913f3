#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "layer_harness.hpp"

// Backends that are not the reference, against it.
namespace paceline::kernels::testing {
namespace {

void expect_near(const Values& expected, const Values& found, const char* what) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  double largest = 1;
  for (double v : expected) largest = std::max(largest, std::abs(v));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(expected[i], found[i], 3e-5 * largest) << what << " element " << i;
}

void expect_near(const LayerResult& expected, const LayerResult& found) {
  expect_near(expected.output, found.output, "output");
  expect_near(expected.state, found.state, "state");
  ASSERT_EQ(expected.input_gradients.size(), found.input_gradients.size());
  for (std::size_t i = 0; i < expected.input_gradients.size(); ++i)
    expect_near(expected.input_gradients[i], found.input_gradients[i], "input gradient");
  for (std::size_t i = 0; i < expected.parameter_gradients.size(); ++i)
    expect_near(expected.parameter_gradients[i], found.parameter_gradients[i],
                "parameter gradient");
}

TEST(OneDnn, EveryLayerAgreesWithTheReference) {
  const auto backend = make_backend(fastest_cpu_backend());
  std::uint64_t seed = 100;
  for (const LayerShape& shape : layer_shapes(30, 13)) {
    SCOPED_TRACE(describe(shape));
    const LayerCase c = random_case(shape, seed++);
    expect_near(run_reference<float>(c), run_backend(*backend, c));
    if (HasFatalFailure()) return;
  }
}

TEST(OneDnn, InferenceAgreesWithTheReference) {
  const auto backend = make_backend(fastest_cpu_backend());
  std::uint64_t seed = 200;
  for (const LayerShape& shape : layer_shapes(4, 14)) {
    SCOPED_TRACE(describe(shape));
    LayerCase c = random_case(shape, seed++);
    c.training = false;
    expect_near(run_reference<float>(c), run_backend(*backend, c));
    if (HasFatalFailure()) return;
  }
}

TEST(OneDnn, SameBitsEveryTimeAndOnEveryThread) {
  const auto backend = make_backend(fastest_cpu_backend());
  const LayerCase c = random_case(Conv2dShape{{4, 16, 8, 8}, 32, square_window(3, 1, 1)}, 5);
  const LayerResult first = run_backend(*backend, c);
  LayerResult second;
  std::thread([&] { second = run_backend(*backend, c); }).join();
  EXPECT_EQ(first.output, second.output);
  EXPECT_EQ(first.input_gradients, second.input_gradients);
  EXPECT_EQ(first.parameter_gradients, second.parameter_gradients);
}

}  // namespace
}  // namespace paceline::kernels::testing
