#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "models/data/generated.hpp"
#include "models/data/random_stream.hpp"
#include "models/data/text.hpp"

namespace paceline {
namespace {

Batch first(const Dataset& data, Split split, std::int64_t count) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), 0);
  Batch batch;
  data.fill(split, indices, batch);
  return batch;
}

TEST(RandomStream, MomentsOfItsDistributions) {
  RandomStream random(5, 6);
  double mean = 0, square = 0, uniform = 0;
  constexpr int n = 200'000;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    mean += x / n, square += x * x / n, uniform += random.uniform(2, 4) / n;
    const std::int64_t k = random.below(7);
    ASSERT_TRUE(k >= 0 && k < 7);
  }
  EXPECT_NEAR(mean, 0, .01);
  EXPECT_NEAR(square, 1, .02);
  EXPECT_NEAR(uniform, 3, .01);
}

using Maker = std::unique_ptr<Dataset> (*)(const GeneratedImages&);
class GeneratedImageSets : public ::testing::TestWithParam<Maker> {};
INSTANTIATE_TEST_SUITE_P(All, GeneratedImageSets, ::testing::Values(&make_digits, &make_textures));

TEST_P(GeneratedImageSets, AreFixedBySeedSplitAndIndexAlone) {
  const auto small = GetParam()({.train = 20, .test = 20, .seed = 4});
  const auto large = GetParam()({.train = 90, .test = 50, .seed = 4});
  const auto other = GetParam()({.train = 20, .test = 20, .seed = 5});
  Batch backwards;
  std::vector<std::int64_t> indices(20);
  std::iota(indices.rbegin(), indices.rend(), 0);
  large->fill(Split::train, indices, backwards);
  const Batch all = first(*small, Split::train, 20);
  EXPECT_EQ(first(*large, Split::train, 20).inputs, all.inputs);
  EXPECT_EQ(std::vector<float>(backwards.labels.rbegin(), backwards.labels.rend()), all.labels);
  EXPECT_NE(first(*other, Split::train, 20).inputs, all.inputs);
  EXPECT_NE(first(*small, Split::test, 20).inputs, all.inputs);
  for (std::int64_t i = 0; i < 20; ++i)
    EXPECT_EQ(static_cast<float>(small->label(Split::train, i)),
              all.labels[static_cast<std::size_t>(i)]);
}

TEST_P(GeneratedImageSets, AreNormalisedAndBalanced) {
  const auto data = GetParam()({.train = 4000, .test = 1});
  const Batch all = first(*data, Split::train, 4000);
  double mean = 0, square = 0;
  for (const float x : all.inputs) mean += x, square += double(x) * x;
  mean /= static_cast<double>(all.inputs.size());
  square /= static_cast<double>(all.inputs.size());
  EXPECT_NEAR(mean, 0, .05);
  EXPECT_NEAR(std::sqrt(square - mean * mean), 1, .1);
  std::vector<int> counts(10);
  for (const float label : all.labels) ++counts[static_cast<std::size_t>(label)];
  for (const int count : counts) EXPECT_NEAR(count, 400, 5 * std::sqrt(360.0));
}

// Many threads draw the same images at once.
TEST_P(GeneratedImageSets, ThreadsSeeTheSameImages) {
  const auto alone = GetParam()({.train = 200, .test = 1});
  const Batch expected = first(*alone, Split::train, 200);
  const auto shared = GetParam()({.train = 200, .test = 1});
  std::vector<Batch> found(4);
  std::vector<std::thread> threads;
  for (Batch& batch : found)
    threads.emplace_back([&] { batch = first(*shared, Split::train, 200); });
  for (std::thread& thread : threads) thread.join();
  for (const Batch& batch : found) EXPECT_EQ(batch.inputs, expected.inputs);
}

TEST(Grammar, IsFixedBySeedAndUsesItsWords) {
  const GrammarText sizes{.words = 300, .steps = 10, .train_tokens = 50'000, .test_tokens = 1000};
  const auto data = make_grammar(sizes);
  EXPECT_EQ(data->size(Split::train), 4999);
  const Batch all = first(*data, Split::train, 4999);
  EXPECT_EQ(first(*make_grammar(sizes), Split::train, 4999).inputs, all.inputs);
  // Each label is the next token.
  for (std::size_t i = 0; i + 1 < all.inputs.size(); ++i)
    ASSERT_EQ(all.labels[i], all.inputs[i + 1]);
  const std::set<float> used(all.inputs.begin(), all.inputs.end());
  EXPECT_LT(*used.rbegin(), 300);
  EXPECT_GT(used.size(), 200u);
}

TEST(Grammar, WhatIsOpenedIsClosedInReverse) {
  const auto data = make_grammar({.words = 200, .train_tokens = 20'000, .test_tokens = 100});
  const Batch all = first(*data, Split::train, data->size(Split::train));
  std::vector<int> open;
  int closed = 0;
  for (const float token : all.inputs) {
    const int word = static_cast<int>(token);
    if (word >= 1 && word <= 10) open.push_back(word);
    if (word >= 11 && word <= 20) {
      ASSERT_FALSE(open.empty());
      ASSERT_EQ(word, open.back() + 10);
      open.pop_back();
      ++closed;
    }
    if (word == 0) {
      ASSERT_TRUE(open.empty());
    }
  }
  EXPECT_GT(closed, 1000);
}

// The best count-based models know less than the process: there is something to learn beyond them.
TEST(Grammar, EntropyLiesBelowThatOfBigrams) {
  const GrammarText sizes{.words = 200, .train_tokens = 400'000, .test_tokens = 100};
  const auto data = make_grammar(sizes);
  const Batch all = first(*data, Split::train, data->size(Split::train));
  std::vector<double> pairs(200 * 200), singles(200);
  for (std::size_t i = 0; i < all.inputs.size(); ++i) {
    ++pairs[static_cast<std::size_t>(all.inputs[i] * 200 + all.labels[i])];
    ++singles[static_cast<std::size_t>(all.inputs[i])];
  }
  const double n = static_cast<double>(all.inputs.size());
  double bigram = 0, unigram = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    if (pairs[i] > 0) bigram -= pairs[i] / n * std::log(pairs[i] / singles[i / 200]);
  for (const double count : singles)
    if (count > 0) unigram -= count / n * std::log(count / n);
  const double entropy = grammar_entropy(sizes);
  EXPECT_GT(entropy, 1);
  EXPECT_GT(bigram, entropy + .3);
  EXPECT_GT(unigram, bigram + .5);
}

TEST(Grammar, SizesAreChecked) {
  EXPECT_THROW(make_grammar({.words = 99}), InputError);
  EXPECT_THROW(make_grammar({.steps = 0}), InputError);
  EXPECT_THROW(make_grammar({.test_tokens = 35}), InputError);
  EXPECT_THROW(make_textures({.train = 10, .test = -1}), InputError);
}

}  // namespace
}  // namespace paceline
