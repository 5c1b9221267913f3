#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "layer_harness.hpp"

// What a comparison of two passes cannot show: state, seeds, sharing, refusals. On every CPU
// backend.
namespace paceline::kernels::testing {
namespace {

using ::testing::HasSubstr;

class EveryBackend : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Backend> backend = make_backend(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Cpu, EveryBackend, ::testing::ValuesIn(backend_names()),
                         [](const auto& test) { return test.param; });

TEST_P(EveryBackend, BatchNormKeepsRunningStatistics) {
  LayerCase c = random_case(BatchNormShape{.input = {2, 1, 1, 2}, .momentum = 0.25}, 1);
  c.inputs[0] = {1, 2, 3, 6};  // mean 3, biased variance 3.5, unbiased 14/3
  c.state = {1, 2};
  const LayerResult result = run_backend(*backend, c);
  EXPECT_NEAR(result.state[0], 0.75 * 1 + 0.25 * 3, 1e-6);
  EXPECT_NEAR(result.state[1], 0.75 * 2 + 0.25 * 14.0 / 3, 1e-6);
  c.training = false;
  EXPECT_EQ(run_backend(*backend, c).state, (Values{1, 2}));
}

TEST_P(EveryBackend, DropoutDependsOnSeedLayerAndElementOnly) {
  LayerCase c = random_case(DropoutShape{{100, 1000}, 0.3, 5}, 1);
  c.inputs[0].assign(c.inputs[0].size(), 1);
  const LayerResult first = run_backend(*backend, c);
  double kept = 0;
  for (double y : first.output) {
    if (y != 0) {
      ASSERT_FLOAT_EQ(static_cast<float>(y), 1 / 0.7f);
    }
    kept += y != 0;
  }
  EXPECT_NEAR(kept / 100'000, 0.7, 0.01);
  for (std::size_t i = 0; i < first.output.size(); ++i)
    ASSERT_EQ(first.input_gradients[0][i] != 0, first.output[i] != 0) << "the same mask";
  EXPECT_EQ(run_backend(*backend, c).output, first.output);
  c.seed += 1;
  EXPECT_NE(run_backend(*backend, c).output, first.output);
  c.seed -= 1;
  std::get<DropoutShape>(c.shape).layer += 1;
  EXPECT_NE(run_backend(*backend, c).output, first.output);
  c.training = false;
  EXPECT_EQ(run_backend(*backend, c).output, c.inputs[0]);
}

TEST_P(EveryBackend, LstmStateJoinsTwoWindows) {
  const LstmShape whole{2, 6, 3, 4, 2}, half{2, 3, 3, 4, 2};
  const LayerCase all = random_case(whole, 3);
  const LayerResult expected = run_backend(*backend, all);
  LayerCase part = all;
  part.shape = half;
  for (const std::size_t window : {0u, 1u}) {
    part.inputs[0].clear();
    part.output_gradient.assign(2 * 3 * 4, 0);
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t i = 0; i < 9; ++i)
        part.inputs[0].push_back(all.inputs[0][n * 18 + window * 9 + i]);
    const LayerResult found = run_backend(*backend, part);
    for (std::size_t n = 0; n < 2; ++n)
      for (std::size_t i = 0; i < 12; ++i)
        ASSERT_NEAR(found.output[n * 12 + i], expected.output[n * 24 + window * 12 + i], 1e-6);
    part.state = found.state;
  }
  for (std::size_t i = 0; i < part.state.size(); ++i)
    EXPECT_NEAR(part.state[i], expected.state[i], 1e-6);
}

TEST_P(EveryBackend, LossCountsHitsAndTakesTheFirstOfEqualLogits) {
  LayerCase c = random_case(SoftmaxLossShape{3, 3}, 1);
  c.inputs[0] = {1, 5, 2, /**/ 4, 0, 4, /**/ 0, 0, 0};
  c.inputs[1] = {1, 2, 0};
  const LayerResult result = run_backend(*backend, c);
  EXPECT_EQ(result.output[1], 2);
  const double losses = -std::log(std::exp(5) / (std::exp(1) + std::exp(5) + std::exp(2))) -
                        std::log(std::exp(4) / (2 * std::exp(4) + 1)) + std::log(3);
  EXPECT_NEAR(result.output[0], losses / 3, 1e-6);
}

TEST_P(EveryBackend, NaNReachesTheLoss) {
  LayerCase c = random_case(SoftmaxLossShape{2, 3}, 1);
  c.inputs[0][4] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(run_backend(*backend, c).output[0]));
}

TEST_P(EveryBackend, NaNPassesReluAndBatchNorm) {
  for (const LayerShape& shape :
       {LayerShape(PointwiseShape{{1, 2, 4, 4}}),
        LayerShape(BatchNormShape{.input = {1, 2, 4, 4}, .relu = true})}) {
    LayerCase c = random_case(shape, 1);
    c.inputs[0][3] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_TRUE(std::isnan(run_backend(*backend, c).output[3])) << describe(shape);
  }
}

TEST_P(EveryBackend, TokensAndLabelsOutsideTheirRangeAreRefused) {
  LayerCase tokens = random_case(EmbeddingShape{2, 5, 3}, 1);
  LayerCase labels = random_case(SoftmaxLossShape{2, 3}, 1);
  for (const double wrong : {-1.0, 5.0, 2.5, std::numeric_limits<double>::quiet_NaN()}) {
    tokens.inputs[0][1] = wrong;
    labels.inputs[1][0] = wrong;
    EXPECT_THROW(run_backend(*backend, tokens), InputError) << wrong;
    EXPECT_THROW(run_backend(*backend, labels), InputError) << wrong;
  }
}

// The gradients of a sum's inputs are one array until somebody writes to one of them.
TEST_P(EveryBackend, AccumulatingIntoOneGradientLeavesTheOthersAlone) {
  const Dims dims{1, 16, 3, 3};
  const auto layer = backend->make_layer(AddShape{dims});
  std::vector<std::unique_ptr<Activation>> a;
  for (int i = 0; i < 7; ++i) a.push_back(backend->make_activation(dims));
  const std::vector<float> one(144, 1.0f), three(144, 3.0f);
  for (const std::size_t i : {0u, 1u, 3u}) backend->write(one, *a[i]);
  backend->write(three, *a[6]);
  const std::vector<const Activation*> inputs{a[0].get(), a[1].get()};
  const std::vector<Activation*> gradients{a[4].get(), a[5].get()};
  for (int step = 0; step < 3; ++step) {
    layer->forward({.inputs = inputs, .output = *a[2]});
    layer->backward({.inputs = inputs,
                     .output = *a[2],
                     .output_gradient = *a[3],
                     .input_gradients = gradients});
    backend->accumulate(*a[6], *a[4]);
    backend->accumulate(*a[6], *a[4]);
    std::vector<float> host(144);
    backend->read(*a[4], host);
    EXPECT_THAT(host, ::testing::Each(7.0f));
    for (const std::size_t i : {3u, 5u}) {
      backend->read(*a[i], host);
      EXPECT_THAT(host, ::testing::Each(1.0f)) << i;
    }
  }
}

TEST_P(EveryBackend, WritingAnArrayOfTheWrongSizeIsRefused) {
  const auto activation = backend->make_activation({2, 3});
  EXPECT_THROW(backend->write(std::vector<float>(5), *activation), std::invalid_argument);
}

TEST(Backends, AreKnownByName) {
  EXPECT_EQ(make_backend("reference")->name(), "reference");
  EXPECT_EQ(make_backend(fastest_cpu_backend())->name(), fastest_cpu_backend());
  try {
    make_backend("referense");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'reference'"));
  }
}

TEST(Shapes, NonsenseIsRefusedByName) {
  const auto expect = [](const LayerShape& shape, const char* message) {
    try {
      check_shape(shape);
      ADD_FAILURE() << message;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(message));
    }
  };
  const ImageShape image{1, 6, 5, 5};
  expect(Conv2dShape{image, 4, square_window(3), 4}, "conv2d: 4 groups do not divide 6");
  expect(Conv2dShape{image, 4, square_window(8, 1, 1)}, "conv2d: a window of 8x8 does not fit");
  expect(Conv2dShape{image, 4, square_window(3, 0)}, "conv2d: stride height must be at least 1");
  expect(Conv2dShape{{0, 6, 5, 5}, 4}, "conv2d: batch must be at least 1, found 0");
  expect(PoolShape{image, square_window(3, 2, 2)}, "max_pool: the padding must not exceed half");
  expect(DropoutShape{{3}, 1.0}, "dropout: the probability");
  expect(ReshapeShape{{2, 3}, {5}}, "reshape: 6 elements cannot become 5");
  expect(SubsamplePadShape{image, 5}, "subsample_pad: 5 output channels are fewer than 6");
  expect(LstmShape{1, 1, 1, 1, 3}, "lstm: has 0, 1 or 2 biases");
  expect(AddShape{{2}, 1}, "add: needs two or more inputs");
  expect(LrnShape{image, 4}, "lrn: size must be odd");
}

TEST(Shapes, CeilModeKeepsALastPartialWindowThatStartsInsideThePaddedImage) {
  const PoolShape floor{{1, 1, 6, 5}, square_window(3, 2)};
  PoolShape ceil = floor;
  ceil.ceil_mode = true;
  EXPECT_EQ(floor.output(), (ImageShape{1, 1, 2, 2}));
  EXPECT_EQ(ceil.output(), (ImageShape{1, 1, 3, 2}));
}

}  // namespace
}  // namespace paceline::kernels::testing
