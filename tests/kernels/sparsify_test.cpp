#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "vector_support.hpp"

namespace paceline::kernels::testing {
namespace {

using ::testing::ElementsAre;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

Sparse top_k(const Floats& x, std::size_t k) {
  Sparse selected(k);
  reference::top_k(x, selected.output());
  return selected;
}

// The definition, by sorting everything.
Sparse sorted_top_k(const Floats& x, std::size_t k) {
  std::vector<std::int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return std::abs(x[static_cast<std::size_t>(a)]) > std::abs(x[static_cast<std::size_t>(b)]);
  });
  order.resize(k);
  std::sort(order.begin(), order.end());
  Sparse selected;
  for (std::int32_t i : order) {
    selected.indices.push_back(i);
    selected.values.push_back(x[static_cast<std::size_t>(i)]);
  }
  return selected;
}

TEST(TopK, EqualsSorting) {
  for (const std::size_t n : {1u, 2u, 17u, 1000u, 4099u})
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 3, n - 1, n}) {
      const Floats x = random_floats(n, n + k);
      EXPECT_EQ(top_k(x, k), sorted_top_k(x, k)) << "k " << k << " of " << n;
    }
}

TEST(TopK, EqualMagnitudesGoToTheLowerIndex) {
  EXPECT_THAT(top_k({1, -2, 2, 2, -2, 1}, 3).indices, ElementsAre(1, 2, 3));
  EXPECT_THAT(top_k({0, 0, 0, 0}, 2).indices, ElementsAre(0, 1));
  Floats quantised = random_floats(5000, 3);
  for (float& x : quantised) x = std::round(4 * x) / 4;  // many ties
  for (const std::size_t k : {1u, 100u, 2500u, 4999u})
    EXPECT_EQ(top_k(quantised, k), sorted_top_k(quantised, k)) << k;
}

TEST(TopK, NaNIsLargerThanInfinityAndSelectedFirst) {
  const Sparse selected = top_k({1, infinity, 3, nan, -infinity}, 1);
  EXPECT_THAT(selected.indices, ElementsAre(3));
  EXPECT_TRUE(std::isnan(selected.values[0]));
  EXPECT_THAT(top_k({1, infinity, 3, nan, -infinity}, 3).indices, ElementsAre(1, 3, 4));
}

TEST(TopK, RefusesMoreThanThereIs) {
  const Floats x{1, 2};
  Sparse out(3);
  EXPECT_THROW(reference::top_k(x, out.output()), InputError);
}

TEST(ErrorFeedback, ResidualAndSentMakeUpWhatWasAccumulatedBitByBit) {
  Floats residual = random_floats(3001, 5), gradient = random_floats(3001, 6);
  for (const double scale : {1.0, 0.1}) {  // raw and scaled
    Floats accumulated = residual;
    for (std::size_t i = 0; i < residual.size(); ++i)
      accumulated[i] += static_cast<float>(scale) * gradient[i];
    reference::apply(Axpy{scale}, {gradient, residual}, {residual});
    EXPECT_EQ(residual, accumulated);
    const Sparse sent = top_k(residual, 30);
    reference::clear_at(sent.indices, residual);
    Floats sum = residual;
    const SparseView block = sent.view();
    reference::scatter_add({&block, 1}, 1, sum);
    for (std::size_t i = 0; i < sum.size(); ++i)
      ASSERT_EQ(std::bit_cast<std::uint32_t>(sum[i]), std::bit_cast<std::uint32_t>(accumulated[i]));
    EXPECT_EQ(std::count(residual.begin(), residual.end(), 0.0f), 30);
  }
}

TEST(ScatterAdd, AddsBlocksInOrder) {
  Sparse a(2), b(2);
  a.indices = {0, 2};
  a.values = {1e8f, 4};
  b.indices = {0, 3};
  b.values = {1, -6};
  Floats sum(4, 0.0f);
  const SparseView blocks[] = {a.view(), b.view()};
  reference::scatter_add(blocks, 0.5, sum);
  EXPECT_THAT(sum, ElementsAre(0.5e8f + 0.5f, 0, 2, -3));
}

TEST(Thresholds, GaussianLandsNearK) {
  const Floats x = random_floats(200'000, 7, 0.01f);
  for (const std::int64_t k : {200, 2'000, 20'000}) {
    const float threshold = reference::gaussian_threshold(x, k);
    const auto count = static_cast<double>(reference::count_reaching(x, threshold));
    EXPECT_NEAR(count / static_cast<double>(k), 1, 1.0 / 3) << k;
  }
}

TEST(Thresholds, GaussianCorrectsAShiftedFit) {
  Floats x = random_floats(100'000, 8);
  for (float& v : x) v = v * v * v;  // heavy tails: the fit alone selects far too few or too many
  const auto count = reference::count_reaching(x, reference::gaussian_threshold(x, 100));
  const double fitted = 3.29 * std::sqrt(15.0);  // quantile 1 - 0.001/2 times the deviation of z^3
  EXPECT_GT(reference::count_reaching(x, static_cast<float>(fitted)), 400);
  EXPECT_LT(count, 400);
  EXPECT_GT(count, 20);
}

TEST(Thresholds, SampledIsExactWhenItSamplesAll) {
  const Floats x = random_floats(999, 9);
  const float threshold = reference::sampled_threshold(x, 40, 1, 12345);
  EXPECT_EQ(reference::count_reaching(x, threshold), 40);
}

TEST(Thresholds, SampledLandsNearK) {
  const Floats x = random_floats(500'000, 10);
  const float threshold = reference::sampled_threshold(x, 5'000, 100, 17);
  EXPECT_NEAR(static_cast<double>(reference::count_reaching(x, threshold)), 5'000, 2'500);
  EXPECT_NE(threshold, reference::sampled_threshold(x, 5'000, 100, 18)) << "another sample";
}

TEST(Thresholds, RefuseNonsense) {
  const Floats x{1, 2, 3};
  EXPECT_THROW(reference::sampled_threshold(x, 0, 1, 0), InputError);
  EXPECT_THROW(reference::sampled_threshold({}, 1, 1, 0), InputError);
  EXPECT_THROW(reference::gaussian_threshold(x, 4), InputError);
  EXPECT_THROW(reference::gaussian_threshold(x, 0), InputError);
}

TEST(SelectReaching, TakesAllOrTheLargest) {
  const Floats x{1, -5, 3, 0, 4, -3};
  Sparse out(6);
  out.resize(reference::select_reaching(x, 3, out.output()));
  EXPECT_THAT(out.indices, ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(out.values, ElementsAre(-5, 3, 4, -3));
  Sparse few(3);
  EXPECT_EQ(reference::select_reaching(x, 3, few.output()), 3);
  EXPECT_THAT(few.indices, ElementsAre(1, 2, 4)) << "the tie of 3 and -3 to the lower index";
}

TEST(SelectReaching, NaNReachesEveryThresholdAndANaNThresholdLetsOnlyNaNPass) {
  const Floats x{1, nan, 3};
  Sparse out(3);
  EXPECT_EQ(reference::select_reaching(x, 2, out.output()), 2);
  EXPECT_EQ(reference::select_reaching(x, reference::gaussian_threshold(x, 1), out.output()), 1);
  EXPECT_EQ(out.indices[0], 1);
}

TEST(GlobalTopK, OneWorkersSelectionIsItsOwn) {
  const Floats x = random_floats(1000, 11);
  const Sparse mine = top_k(x, 50);
  Sparse merged(50);
  merged.resize(reference::merge_top_k(mine.view(), Sparse().view(), merged.output()));
  EXPECT_EQ(merged, mine);
}

TEST(GlobalTopK, AddsMatchingIndicesAndReselects) {
  Sparse a(3), b(3);
  a.indices = {1, 4, 9};
  a.values = {5, -2, 3};
  b.indices = {2, 4, 9};
  b.values = {4, -2.5f, -3};
  Sparse merged(3);
  EXPECT_EQ(reference::merge_top_k(a.view(), b.view(), merged.output()), 3);
  EXPECT_THAT(merged.indices, ElementsAre(1, 2, 4));
  EXPECT_THAT(merged.values, ElementsAre(5, 4, -4.5f));
  Sparse all(6);
  EXPECT_EQ(reference::merge_top_k(a.view(), b.view(), all.output()), 4);
}

TEST(GlobalTopK, EqualsTopKOfTheDenseSum) {
  Floats dense(500, 0.0f);
  Sparse selections[2] = {top_k(random_floats(500, 12), 60), top_k(random_floats(500, 13), 60)};
  const SparseView blocks[] = {selections[0].view(), selections[1].view()};
  reference::scatter_add(blocks, 1, dense);
  Sparse merged(60);
  EXPECT_EQ(reference::merge_top_k(blocks[0], blocks[1], merged.output()), 60);
  EXPECT_EQ(merged, top_k(dense, 60));
}

}  // namespace
}  // namespace paceline::kernels::testing
