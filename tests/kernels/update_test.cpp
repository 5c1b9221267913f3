#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/random.hpp"
#include "vector_support.hpp"

// Optimizers, arithmetic between models, low-rank factors, random numbers.
namespace paceline::kernels::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

TEST(Sgd, PlainMomentumAndNesterovByHand) {
  const Floats gradient{2};
  Floats w{1}, v{0};
  reference::apply(Sgd{0.5, 0}, {gradient, w}, {w});
  EXPECT_FLOAT_EQ(w[0], 0);
  w = {1};
  const SgdMomentum momentum{0.5, 0.5, 1};
  reference::apply(momentum, {gradient, v, w}, {v, w});  // d = 3, v = 3, w = 1 - 1.5
  EXPECT_FLOAT_EQ(w[0], -0.5f);
  reference::apply(momentum, {gradient, v, w}, {v, w});  // d = 1.5, v = 3, w = -0.5 - 1.5
  EXPECT_FLOAT_EQ(v[0], 3);
  EXPECT_FLOAT_EQ(w[0], -2);
  w = {1};
  v = {0};
  reference::apply(SgdMomentum{0.5, 0.5, 0, true}, {gradient, v, w}, {v, w});
  EXPECT_FLOAT_EQ(w[0], 1 - 0.5f * (2 + 0.5f * 2));
}

TEST(AdamW, FirstStepsByHand) {
  const AdamWOptions o{.learning_rate = 0.1, .weight_decay = 0.5};
  const Floats gradient{3, -4};
  Floats w{1, 1}, m(2, 0.0f), v(2, 0.0f);
  reference::apply(AdamW(o, 1), {gradient, m, v, w}, {m, v, w});
  // Bias-corrected, the first step is the sign of the gradient.
  EXPECT_NEAR(w[0], 0.95 - 0.1, 1e-6);
  EXPECT_NEAR(w[1], 0.95 + 0.1, 1e-6);
  reference::apply(AdamW(o, 2), {gradient, m, v, w}, {m, v, w});
  EXPECT_NEAR(m[0], 0.9 * 0.3 + 0.3, 1e-6);
  EXPECT_NEAR(v[0], 0.999 * 0.009 + 0.009, 1e-7);
  EXPECT_NEAR(w[0], 0.95 * 0.85 - 0.1, 1e-5);
}

TEST(ClipNorm, ScalesOnlyWhatIsTooLong) {
  Floats x{3, 4};
  EXPECT_DOUBLE_EQ(reference::clip_norm(10, x), 5);
  EXPECT_THAT(x, ElementsAre(3, 4));
  EXPECT_DOUBLE_EQ(reference::clip_norm(1, x), 5);
  EXPECT_THAT(x, ElementsAre(0.6f, 0.8f));
  Floats broken{1, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(reference::clip_norm(0.5, broken)));
  EXPECT_EQ(broken[0], 1);
}

TEST(Blend, ProgressInterpolationAndDifference) {
  const Floats mean{10, 20}, start{1, 2};
  Floats x{1.5f, 1};
  reference::apply(AddProgress{}, {mean, start, x}, {x});
  EXPECT_THAT(x, ElementsAre(10.5f, 19));
  reference::apply(Combine{0.75, 0.25}, {x, mean}, {x});
  EXPECT_THAT(x, ElementsAre(10.375f, 19.25f));
  Floats out(2);
  reference::apply(Combine{1, -1}, {mean, start}, {out});
  EXPECT_THAT(out, ElementsAre(9, 18));
}

// CoCoD-SGD's identity: the mean of the workers moves by the mean of their progress.
TEST(Blend, ProgressKeepsTheMeanOfTheWorkers) {
  constexpr std::size_t workers = 4, n = 100;
  std::vector<Floats> start, now;
  std::vector<double> mean_start(n), mean_now(n), mean_after(n);
  for (std::size_t w = 0; w < workers; ++w) {
    start.push_back(random_floats(n, w));
    now.push_back(random_floats(n, 100 + w));
  }
  Floats average(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t w = 0; w < workers; ++w) {
      mean_start[i] += start[w][i] / double(workers);
      mean_now[i] += now[w][i] / double(workers);
    }
    average[i] = static_cast<float>(mean_start[i]);
  }
  for (std::size_t w = 0; w < workers; ++w) {
    reference::apply(AddProgress{}, {average, start[w], now[w]}, {now[w]});
    for (std::size_t i = 0; i < n; ++i) mean_after[i] += now[w][i] / double(workers);
  }
  EXPECT_THAT(mean_after, Pointwise(::testing::DoubleNear(1e-6), mean_now));
}

TEST(DelayCompensation, ByHand) {
  const Floats g{2, -3}, w{1, 1}, backup{0.5f, 2};
  Floats out(2);
  reference::apply(DelayCompensate{0.04}, {g, w, backup}, {out});
  EXPECT_THAT(out, Pointwise(FloatNear(1e-6f), Floats{2 + 0.04f * 4 * 0.5f, -3 - 0.04f * 9}));
  Floats square{0, 0};
  reference::apply(DelayCompensateAdaptive(2, 0.95), {g, w, backup, square}, {out, square});
  EXPECT_THAT(square, Pointwise(FloatNear(1e-6f), Floats{0.2f, 0.45f}));
  const float first = 2 + 2 / std::sqrt(0.2f + 1e-7f) * 4 * 0.5f;
  EXPECT_NEAR(out[0], first, 1e-5);
}

TEST(DelayCompensation, OdSgdLocalUpdateByHand) {
  const OdSgdLocalUpdate o{.rate = 0.5, .decay = 0.1, .lambda = 2, .rescale = 0.25};
  const Floats sum_of_gradients{8}, w{3}, previous{2.5f};
  Floats local(1);
  reference::apply(o, {sum_of_gradients, w, previous}, {local});
  EXPECT_FLOAT_EQ(local[0], 3 - 0.5f * (2 + 0.1f * 3 + 2 * 4 * 0.5f));
}

TEST(LowRank, ReconstructsMatricesOfThatRank) {
  for (const auto& [rows, columns, rank] : {MatrixShape{1, 1, 1}, MatrixShape{7, 5, 1},
                                            MatrixShape{31, 18, 4}, MatrixShape{6, 40, 3}}) {
    const MatrixShape shape{rows, columns, rank};
    const auto size = [](std::int64_t a, std::int64_t b) {
      return static_cast<std::size_t>(a * b);
    };
    const Floats left = random_floats(size(rows, rank), 1);
    const Floats right = random_floats(size(columns, rank), 2);
    Floats m(size(rows, columns)), p(left.size()), again(m.size());
    Floats q = random_floats(right.size(), 3);
    reference::low_rank_reconstruct(shape, left, right, m);
    reference::low_rank_left(shape, m, q, p);
    reference::orthonormalize(shape, p);
    reference::low_rank_right(shape, m, p, q);
    reference::low_rank_reconstruct(shape, p, q, again);
    EXPECT_THAT(again, Pointwise(FloatNear(2e-5f), m)) << rows << "x" << columns;
  }
}

TEST(LowRank, ColumnsBecomeOrthonormalAndDependentOnesZero) {
  const MatrixShape shape{50, 1, 3};
  Floats p = random_floats(150, 4);
  for (std::size_t i = 0; i < 50; ++i) p[3 * i + 1] = 2 * p[3 * i];  // column 1 = 2 * column 0
  reference::orthonormalize(shape, p);
  const auto dot = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = 0; i < 50; ++i) sum += double(p[3 * i + a]) * p[3 * i + b];
    return sum;
  };
  EXPECT_NEAR(dot(0, 0), 1, 1e-6);
  EXPECT_EQ(dot(1, 1), 0);
  EXPECT_NEAR(dot(2, 2), 1, 1e-6);
  EXPECT_NEAR(dot(0, 2), 0, 1e-6);
}

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  const std::uint32_t ones = 0xffffffffu;
  EXPECT_THAT(philox({ones, ones, ones, ones}, {ones, ones}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(
      philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
      ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

}  // namespace
}  // namespace paceline::kernels::testing
