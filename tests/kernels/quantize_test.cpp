#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "vector_support.hpp"

namespace paceline::kernels::testing {
namespace {

using ::testing::ElementsAre;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(TwoBit, FollowsTheFormulaOfCdSgd) {
  const Floats gradient{0.6f, -0.6f, 0.2f, -0.5f, 0.5f, 1.7f};
  Floats residual{0, 0, 0.2f, 0, 0, 0}, sent(6);
  std::vector<std::uint32_t> codes(two_bit_words(6));
  reference::two_bit_quantize(0.5, gradient, residual, codes);
  reference::two_bit_dequantize(0.5, codes, sent);
  EXPECT_THAT(sent, ElementsAre(0.5f, -0.5f, 0, -0.5f, 0.5f, 0.5f));
  EXPECT_THAT(residual, ElementsAre(0.6f - 0.5f, -0.6f + 0.5f, 0.4f, 0.0f, 0.0f, 1.7f - 0.5f));
  EXPECT_EQ(codes[0], 0b01'01'10'00'10'01u);
}

TEST(TwoBit, ResidualAndSentMakeUpWhatWasAccumulated) {
  for (const std::size_t n : {1u, 15u, 16u, 17u, 1000u}) {
    const Floats gradient = random_floats(n, n);
    Floats residual = random_floats(n, n + 1, 0.3f), accumulated = residual, sent(n);
    for (std::size_t i = 0; i < n; ++i) accumulated[i] += gradient[i];
    std::vector<std::uint32_t> codes(two_bit_words(n));
    reference::two_bit_quantize(0.5, gradient, residual, codes);
    reference::two_bit_dequantize(0.5, codes, sent);
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_NEAR(residual[i] + sent[i], accumulated[i], 1e-6 * std::abs(accumulated[i]));
  }
}

TEST(TwoBit, NaNIsSentAndLeavesTheResidual) {
  const Floats gradient{1, nan, 0};
  Floats residual(3, 0.0f), sent(3);
  std::vector<std::uint32_t> codes(1);
  reference::two_bit_quantize(0.5, gradient, residual, codes);
  reference::two_bit_dequantize(0.5, codes, sent);
  EXPECT_TRUE(std::isnan(sent[1]));
  EXPECT_THAT(residual, ElementsAre(0.5f, 0, 0));
}

TEST(Sign, SendsSignsAndTheMeanMagnitude) {
  const Floats gradient{1, -2, 0, -5};
  Floats residual(4, 0.0f), sent(4);
  std::vector<std::uint32_t> codes(sign_words(4));
  const float scale = reference::sign_quantize(gradient, residual, codes);
  reference::sign_dequantize(scale, codes, sent);
  EXPECT_EQ(scale, 2);
  EXPECT_EQ(codes[0], 0b1010u);
  EXPECT_THAT(sent, ElementsAre(2, -2, 2, -2));
  EXPECT_THAT(residual, ElementsAre(-1, 0, -2, -3));
}

TEST(Sign, ResidualAndSentMakeUpWhatWasAccumulated) {
  for (const std::size_t n : {1u, 31u, 32u, 33u, 1000u}) {
    const Floats gradient = random_floats(n, n);
    Floats residual = random_floats(n, n + 1), accumulated = residual, sent(n);
    for (std::size_t i = 0; i < n; ++i) accumulated[i] += gradient[i];
    std::vector<std::uint32_t> codes(sign_words(n));
    const float scale = reference::sign_quantize(gradient, residual, codes);
    reference::sign_dequantize(scale, codes, sent);
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_NEAR(residual[i] + sent[i], accumulated[i], 1e-6 * (1 + std::abs(accumulated[i])));
  }
}

TEST(Sign, NaNShowsInTheScale) {
  const Floats gradient{1, nan};
  Floats residual(2, 0.0f);
  std::vector<std::uint32_t> codes(1);
  EXPECT_TRUE(std::isnan(reference::sign_quantize(gradient, residual, codes)));
}

std::uint16_t pack(float x) {
  std::uint16_t half = 0;
  reference::pack_fp16({&x, 1}, {&half, 1});
  return half;
}
float unpack(std::uint16_t half) {
  float x = 0;
  reference::unpack_fp16({&half, 1}, {&x, 1});
  return x;
}

TEST(Fp16, KnownValues) {
  EXPECT_EQ(pack(0.0f), 0x0000);
  EXPECT_EQ(pack(-0.0f), 0x8000);
  EXPECT_EQ(pack(1.0f), 0x3C00);
  EXPECT_EQ(pack(-2.0f), 0xC000);
  EXPECT_EQ(pack(65504.0f), 0x7BFF);
  EXPECT_EQ(pack(65519.0f), 0x7BFF);
  EXPECT_EQ(pack(65520.0f), 0x7C00) << "rounds to infinity";
  EXPECT_EQ(pack(-infinity), 0xFC00);
  EXPECT_EQ(pack(0x1p-14f), 0x0400) << "smallest normal";
  EXPECT_EQ(pack(0x1p-24f), 0x0001) << "smallest subnormal";
  EXPECT_EQ(pack(0x1p-25f), 0x0000) << "tie to even";
  EXPECT_EQ(pack(0x1.8p-24f), 0x0002) << "tie to even";
  EXPECT_EQ(pack(1.0f + 0x1p-11f), 0x3C00) << "tie to even";
  EXPECT_EQ(pack(1.0f + 0x1.8p-10f), 0x3C02) << "tie to even";
  EXPECT_TRUE(std::isnan(unpack(pack(nan))));
}

TEST(Fp16, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float x = unpack(static_cast<std::uint16_t>(half));
    if (!std::isnan(x)) {
      ASSERT_EQ(pack(x), half);
    }
  }
}

TEST(Fp16, RoundsToTheNearest) {
  for (const float x : random_floats(10'000, 4, 3)) {
    const std::uint16_t half = pack(x);
    const float error = std::abs(unpack(half) - x);
    for (const int step : {-1, 1}) {
      const auto neighbour = static_cast<std::uint16_t>(half + step);
      ASSERT_LE(error, std::abs(unpack(neighbour) - x)) << x;
    }
  }
}

}  // namespace
}  // namespace paceline::kernels::testing
