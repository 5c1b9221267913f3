#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "models/data/feed.hpp"
#include "models/data/generated.hpp"
#include "models/data/sharding.hpp"
#include "models/data/text.hpp"

namespace paceline {
namespace {

using ::testing::ElementsAre;
using Shards = std::vector<std::vector<std::int64_t>>;

void expect_disjoint_and_equal(const Shards& shards, std::size_t size) {
  std::set<std::int64_t> seen;
  for (const auto& shard : shards) {
    EXPECT_EQ(shard.size(), size);
    seen.insert(shard.begin(), shard.end());
  }
  EXPECT_EQ(seen.size(), size * shards.size());
}

std::vector<double> mix_of(const Dataset& data, const std::vector<std::int64_t>& shard) {
  std::vector<double> mix(10);
  for (const std::int64_t i : shard)
    mix[static_cast<std::size_t>(data.label(Split::train, i))] +=
        1 / static_cast<double>(shard.size());
  return mix;
}

/// Mean over the workers of the share of their commonest class.
double unevenness(const Dataset& data, const Shards& shards) {
  double sum = 0;
  for (const auto& shard : shards) {
    const std::vector<double> mix = mix_of(data, shard);
    sum += *std::max_element(mix.begin(), mix.end());
  }
  return sum / static_cast<double>(shards.size());
}

TEST(Sharding, EveryKindDealsEquallyManyToEach) {
  const auto data = make_digits({.train = 4003, .test = 1});
  for (const ShardingKind kind :
       {ShardingKind::iid, ShardingKind::dirichlet, ShardingKind::by_label})
    for (const std::int64_t workers : {1, 7, 16}) {
      SCOPED_TRACE(to_string(kind) + " " + std::to_string(workers));
      const auto part = static_cast<std::size_t>(4003 / workers);
      const std::size_t size = kind == ShardingKind::by_label
                                   ? 4003 / (2 * static_cast<std::size_t>(workers)) * 2
                                   : part;
      expect_disjoint_and_equal(deal_samples(*data, {.kind = kind}, workers), size);
    }
}

TEST(Sharding, AlphaAndLabelsSetTheUnevenness) {
  const auto data = make_digits({.train = 8000, .test = 1});
  const auto uneven = [&](const Sharding& sharding) {
    return unevenness(*data, deal_samples(*data, sharding, 16));
  };
  const double iid = uneven({});
  EXPECT_LT(iid, .16);
  const double mild = uneven({.kind = ShardingKind::dirichlet, .alpha = 100});
  const double middle = uneven({.kind = ShardingKind::dirichlet, .alpha = .5});
  const double strong = uneven({.kind = ShardingKind::dirichlet, .alpha = .01});
  EXPECT_LT(mild, .2);
  EXPECT_GT(middle, .3);
  EXPECT_GT(strong, .7);
  EXPECT_GT(strong, middle);
  // Two pieces of sorted labels: at most four classes, mostly two.
  const Shards by_label = deal_samples(*data, {.kind = ShardingKind::by_label}, 16);
  for (const auto& shard : by_label) {
    const std::vector<double> mix = mix_of(*data, shard);
    EXPECT_LE(std::count_if(mix.begin(), mix.end(), [](double x) { return x > 0; }), 4);
  }
}

TEST(Sharding, SeedDecides) {
  const auto data = make_digits({.train = 500, .test = 1});
  for (const ShardingKind kind :
       {ShardingKind::iid, ShardingKind::dirichlet, ShardingKind::by_label}) {
    EXPECT_EQ(deal_samples(*data, {.kind = kind, .seed = 3}, 4),
              deal_samples(*data, {.kind = kind, .seed = 3}, 4));
    EXPECT_NE(deal_samples(*data, {.kind = kind, .seed = 3}, 4),
              deal_samples(*data, {.kind = kind, .seed = 4}, 4));
  }
}

TEST(Sharding, TextIsDealtInStretches) {
  const auto data = make_grammar({.steps = 10, .train_tokens = 1001, .test_tokens = 100});
  const Shards shards = deal_samples(*data, {}, 3);
  EXPECT_EQ(shards[1].front(), 33);
  EXPECT_EQ(shards[1].back(), 65);
  EXPECT_THROW(deal_samples(*data, {.kind = ShardingKind::by_label}, 3), InputError);
}

TEST(Sharding, Refusals) {
  const auto data = make_digits({.train = 10, .test = 1});
  EXPECT_THROW(deal_samples(*data, {}, 11), InputError);
  EXPECT_THROW(deal_samples(*data, {}, 0), InputError);
  EXPECT_THROW(deal_samples(*data, {.kind = ShardingKind::by_label}, 6), InputError);
  EXPECT_THROW(deal_samples(*data, {.kind = ShardingKind::dirichlet, .alpha = 0}, 2), InputError);
  EXPECT_THROW(deal_samples(*data, {.pieces = 0}, 2), InputError);
  EXPECT_THROW(sharding_kind_from_string("dirichle"), InputError);
  EXPECT_EQ(sharding_kind_from_string("by_label"), ShardingKind::by_label);
}

TEST(Feed, EachEpochHasEachSampleOnceInAnotherOrder) {
  const auto data = make_digits({.train = 100, .test = 1});
  const std::vector<std::int64_t> samples{3, 5, 8, 13, 21, 34, 55};
  Feed feed(*data, samples, {.batch = 3});
  std::vector<std::int64_t> all;
  for (std::int64_t step = 0; step < 14; ++step) {  // 42 samples, 6 epochs
    const auto& chosen = feed.samples_of(step);
    all.insert(all.end(), chosen.begin(), chosen.end());
  }
  std::set<std::vector<std::int64_t>> orders;
  for (std::size_t epoch = 0; epoch < 6; ++epoch) {
    std::vector<std::int64_t> part(all.begin() + static_cast<std::ptrdiff_t>(7 * epoch),
                                   all.begin() + static_cast<std::ptrdiff_t>(7 * epoch + 7));
    orders.insert(part);
    std::sort(part.begin(), part.end());
    EXPECT_EQ(part, samples);
  }
  EXPECT_GT(orders.size(), 4u);
}

TEST(Feed, AStepDoesNotDependOnTheStepsBefore) {
  const auto data = make_textures({.train = 50, .test = 1});
  std::vector<std::int64_t> samples(50);
  for (std::size_t i = 0; i < 50; ++i) samples[i] = static_cast<std::int64_t>(i);
  const FeedOptions options{.batch = 8, .augment = true, .worker = 3};
  Feed walked(*data, samples, options), jumped(*data, samples, options);
  Batch a, b;
  for (std::int64_t step = 0; step <= 20; ++step) walked.fill(step, a);
  jumped.fill(20, b);
  EXPECT_EQ(a.inputs, b.inputs);
  EXPECT_EQ(a.labels, b.labels);
}

TEST(Feed, AugmentationDiffersByWorkerEpochAndSample) {
  const auto data = make_textures({.train = 1, .test = 1});
  const auto images = [&](std::int64_t worker) {
    Feed feed(*data, {0}, {.batch = 40, .augment = true, .worker = worker});  // 40 epochs
    Batch batch;
    feed.fill(0, batch);
    std::vector<std::vector<float>> all;
    for (std::ptrdiff_t i = 0; i < 40; ++i)
      all.emplace_back(batch.inputs.begin() + 3072 * i, batch.inputs.begin() + 3072 * (i + 1));
    return all;
  };
  const auto first = images(0);
  EXPECT_GT(std::set<std::vector<float>>(first.begin(), first.end()).size(), 30u);
  EXPECT_NE(images(1), first);
  EXPECT_EQ(images(0), first);
  // Each is the image, shifted by up to 4 and perhaps mirrored, with 0 where nothing is.
  Batch plain;
  data->fill(Split::train, std::vector<std::int64_t>{0}, plain);
  std::set<bool> mirrors;
  for (const std::vector<float>& image : first) {
    int matches = 0;
    for (int dy = -4; dy <= 4; ++dy)
      for (int dx = -4; dx <= 4; ++dx)
        for (const bool mirrored : {false, true}) {
          bool equal = true;
          for (int c = 0; c < 3 && equal; ++c)
            for (int i = 0; i < 32 && equal; ++i)
              for (int j = 0; j < 32 && equal; ++j) {
                const int y = i + dy, x = j + dx;
                const bool inside = y >= 0 && y < 32 && x >= 0 && x < 32;
                const int from = (c * 32 + y) * 32 + (mirrored ? 31 - x : x);
                const float expected = inside ? plain.inputs[static_cast<std::size_t>(from)] : 0;
                equal = image[static_cast<std::size_t>((c * 32 + i) * 32 + j)] == expected;
              }
          if (equal) mirrors.insert(mirrored);
          matches += equal;
        }
    ASSERT_EQ(matches, 1);
  }
  EXPECT_EQ(mirrors.size(), 2u);
}

TEST(Feed, RowsOfATextGoOnFromStepToStep) {
  const auto data = make_grammar({.steps = 5, .train_tokens = 501, .test_tokens = 100});
  std::vector<std::int64_t> samples(31);
  for (std::size_t i = 0; i < 31; ++i) samples[i] = static_cast<std::int64_t>(i);
  Feed feed(*data, samples, {.batch = 3});
  EXPECT_THAT(feed.samples_of(0), ElementsAre(0, 10, 20));
  EXPECT_THAT(feed.samples_of(1), ElementsAre(1, 11, 21));
  EXPECT_THAT(feed.samples_of(10), ElementsAre(0, 10, 20));
  Batch now, next;
  feed.fill(0, now);
  feed.fill(1, next);
  for (std::size_t row = 0; row < 3; ++row)
    EXPECT_EQ(now.labels[5 * row + 4], next.inputs[5 * row]);
}

TEST(Feed, InOrderVisitsTheSplitOnce) {
  const auto data = make_digits({.train = 1, .test = 25});
  Feed feed = Feed::in_order(*data, Split::test, 10);
  EXPECT_EQ(feed.samples_of(1).front(), 10);
  Batch batch;
  feed.fill(1, batch);
  EXPECT_EQ(batch.labels.size(), 10u);
  EXPECT_EQ(batch.labels[9], static_cast<float>(data->label(Split::test, 19)));
}

TEST(Feed, Refusals) {
  const auto data = make_digits({.train = 10, .test = 1});
  const auto text = make_grammar({.train_tokens = 1000, .test_tokens = 100});
  EXPECT_THROW(Feed(*data, {}, {}), InputError);
  EXPECT_THROW(Feed(*data, {1}, {.batch = 0}), InputError);
  EXPECT_THROW(Feed(*text, {0, 1}, {.batch = 3}), InputError);
  EXPECT_THROW(Feed(*text, {0, 1}, {.batch = 2, .augment = true}), InputError);
}

}  // namespace
}  // namespace paceline
