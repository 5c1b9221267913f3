// Merge rules for wait-free back-propagation, judged by when the last message ends.

#include <gtest/gtest.h>

#include "algorithms/buckets.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

// End of the last message, from the start of backward; checks that every tensor leaves once.
double end_of(const ModelShape& model, const std::vector<Bucket>& buckets, const Star& star) {
  std::vector<double> ready(model.tensors.size());
  double date = 0;
  for (const TensorId t : model.backward_order) ready[t] = date += model.tensors[t].backward_s;
  std::vector<int> sent(model.tensors.size(), 0);
  double wire = 0;
  for (const Bucket& bucket : buckets) {
    double elements = 0, all_ready = 0;
    for (TensorId t = bucket.range.first; t <= bucket.range.last; ++t) {
      elements += static_cast<double>(model.tensors[t].elements);
      all_ready = std::max(all_ready, ready[t]);
      ++sent[t];
    }
    EXPECT_EQ(ready[bucket.last_ready], all_ready);
    wire = std::max(wire, all_ready) + star.all_reduce_s(4 * elements);
  }
  EXPECT_EQ(sent, std::vector<int>(sent.size(), 1));
  return wire;
}

std::function<double(double)> cost(const Star& star) {
  return [star](double bytes) { return star.all_reduce_s(bytes); };
}

TEST(BucketsIdentity, OptimalEqualsTheBestOfAllPartitions) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    const int count = 4 + static_cast<int>(seed % 8);
    const ModelShape model = random_model(seed, count, seed % 2 == 0 ? 1e-4 : 2e-3);
    const Star star;
    double best = INFINITY;
    for (unsigned cuts = 0; cuts < 1u << (count - 1); ++cuts) {
      double ready = 0, wire = 0, elements = 0;
      for (int i = 0; i < count; ++i) {
        const auto& tensor = model.tensors[static_cast<std::size_t>(count - 1 - i)];
        ready += tensor.backward_s;
        elements += static_cast<double>(tensor.elements);
        if (i + 1 < count && (cuts >> i & 1) == 0) continue;
        wire = std::max(wire, ready) + star.all_reduce_s(4 * elements);
        elements = 0;
      }
      best = std::min(best, wire);
    }
    EXPECT_NEAR(end_of(model, buckets_optimal(model, 4, cost(star)), star), best, 1e-12);
  }
}

TEST(BucketsIdentity, NoOtherRuleIsFasterThanOptimal) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    ModelShape model = random_model(seed, 2 + static_cast<int>(seed % 60),
                                    std::pow(10, -4 + static_cast<double>(seed % 5) / 2));
    if (seed % 2 == 1)  // branches: neighbours in backward are not always neighbours in memory
      for (std::size_t i = 2; i + 1 < model.backward_order.size(); i += 5)
        std::swap(model.backward_order[i - 1], model.backward_order[i + 1]);
    Star star;
    star.workers = 2 + seed % 15;
    star.bandwidth *= std::pow(10, -static_cast<double>(seed % 3));
    const double best = end_of(model, buckets_optimal(model, 4, cost(star)), star);
    EXPECT_LE(best, end_of(model, one_bucket(model), star) * (1 + 1e-12));
    EXPECT_LE(best, end_of(model, bucket_per_tensor(model), star) * (1 + 1e-12));
    EXPECT_LE(best, end_of(model, buckets_mg_wfbp(model, 4, cost(star)), star) * (1 + 1e-12));
    for (const double bytes : {1e4, 1e5, 1e6, 25.0 * 1024 * 1024})
      EXPECT_LE(best,
                end_of(model, buckets_by_size(model, bytes, bytes / 25, 4), star) * (1 + 1e-12));
  }
}

TEST(BucketsIdentity, MgWfbpMergesEqualTensorsIntoOneAndLosesTo25MiBBuckets) {
  ModelShape model;
  for (int i = 0; i < 161; ++i) {
    model.tensors.push_back({"equal", 158740, model.elements, 0, 434e-6});
    model.elements += 158740;
  }
  for (int i = 160; i >= 0; --i) model.backward_order.push_back(static_cast<TensorId>(i));
  Star star;
  star.workers = 16;
  star.bandwidth = 1.25e9;
  const auto merged = buckets_mg_wfbp(model, 4, cost(star));
  EXPECT_EQ(merged.size(), 1u);
  const double published = end_of(model, merged, star);
  const double ddp = end_of(model, buckets_by_size(model, 25 * 1048576.0, 1048576, 4), star);
  EXPECT_GT(published, ddp);
  EXPECT_LT(end_of(model, buckets_optimal(model, 4, cost(star)), star), ddp);
}

TEST(BucketsIdentity, OmgsMergesWhenNothingIsLostAndNotWhenSelectionIsDear) {
  const ModelShape model = random_model(40, 20);
  const auto exchange = [](double n) { return 1e-3 + 1e-9 * n; };
  const auto free = [](double) { return 0.0; };
  EXPECT_LT(buckets_omgs(model, free, exchange).size(), 20u);
  const auto no_start_up = [](double n) { return 1e-9 * n; };
  EXPECT_EQ(buckets_omgs(model, free, no_start_up).size(), 20u);
  // Selecting from a merged group costs much more than from its parts: never worth it.
  const auto quadratic = [](double n) { return 1e-3 * n * n; };
  EXPECT_EQ(buckets_omgs(model, quadratic, exchange).size(), 20u);
}

}  // namespace
}  // namespace paceline
