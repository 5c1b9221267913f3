#include "calibrate/network/fit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.hpp"

namespace paceline {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<MessageSample> law(double alpha, double beta, double from, double to) {
  std::vector<MessageSample> samples;
  for (double bytes = from; bytes <= to; bytes *= 2)
    samples.push_back({bytes, alpha + beta * bytes});
  return samples;
}

TEST(NetworkFit, OneLawComesBackExactly) {
  const TransferFit fit = fit_transfers(law(50e-6, 1e-9, 8, 1 << 26), "test");
  ASSERT_EQ(fit.segments.size(), 1);
  EXPECT_NEAR(fit.segments[0].alpha_s, 50e-6, 1e-12);
  EXPECT_NEAR(fit.segments[0].beta_s_per_byte, 1e-9, 1e-17);
  EXPECT_LT(fit.segments[0].worst_error, 1e-9);
}

TEST(NetworkFit, NoiseAloneMakesNoSecondSegment) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(1, 0.03);
    auto samples = law(50e-6, 1e-9, 8, 1 << 26);
    for (MessageSample& sample : samples) sample.seconds *= noise(random);
    const TransferFit fit = fit_transfers(samples, "test");
    EXPECT_EQ(fit.segments.size(), 1) << seed;
    EXPECT_NEAR(fit.segments[0].alpha_s, 50e-6, 5e-6);
    EXPECT_NEAR(fit.segments[0].beta_s_per_byte, 1e-9, 1e-10);
  }
}

TEST(NetworkFit, AProtocolSwitchMakesTwo) {
  auto samples = law(5e-6, 2e-9, 8, 1 << 14);
  for (const MessageSample& large : law(40e-6, 1e-10, 1 << 15, 1 << 26)) samples.push_back(large);
  const TransferFit fit = fit_transfers(samples, "test");
  ASSERT_EQ(fit.segments.size(), 2);
  EXPECT_EQ(fit.segments[0].to_bytes, 1 << 14);
  EXPECT_NEAR(fit.segments[0].alpha_s, 5e-6, 1e-10);
  EXPECT_NEAR(fit.segments[1].beta_s_per_byte, 1e-10, 1e-15);
  for (const MessageSample& sample : samples)
    EXPECT_NEAR(fit.seconds(sample.bytes) / sample.seconds, 1, 1e-6) << sample.bytes;
}

void append(std::vector<MessageSample>& samples, const std::vector<MessageSample>& more) {
  samples.insert(samples.end(), more.begin(), more.end());
}

TEST(NetworkFit, TwoProtocolSwitchesMakeThree) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(1, 0.02);
    auto samples = law(5e-6, 2e-9, 8, 1 << 13);
    append(samples, law(40e-6, 5e-10, 1 << 14, 1 << 19));
    append(samples, law(400e-6, 1e-10, 1 << 20, 1 << 27));
    for (MessageSample& sample : samples) sample.seconds *= noise(random);
    const TransferFit fit = fit_transfers(samples, "test");
    ASSERT_EQ(fit.segments.size(), 3) << seed;
    EXPECT_EQ(fit.segments[0].to_bytes, 1 << 13) << seed;
    EXPECT_EQ(fit.segments[1].to_bytes, 1 << 19) << seed;
    EXPECT_NEAR(fit.segments[2].beta_s_per_byte, 1e-10, 1e-11) << seed;
    EXPECT_GT(fit.one_law.mean_error, 5 * fit.mean_error()) << seed;
    EXPECT_EQ(fit.bic.size(), 3);
  }
}

// As many sizes as DeepBench has.
TEST(NetworkFit, SevenSizesAreEnoughForASwitchAndOneLawIsNotSplit) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> noise(1, 0.03);
    auto samples = law(1e-4, 4e-10, 1 << 20, 1 << 26);
    for (MessageSample& sample : samples) sample.seconds *= noise(random);
    ASSERT_EQ(samples.size(), 7);
    EXPECT_EQ(fit_transfers(samples, "test").segments.size(), 1) << seed;
    for (MessageSample& sample : samples)
      if (sample.bytes > 1 << 23) sample.seconds += 30e-3;
    const TransferFit fit = fit_transfers(samples, "test");
    ASSERT_EQ(fit.segments.size(), 2) << seed;
    EXPECT_EQ(fit.segments[0].to_bytes, 1 << 23);
  }
}

TEST(NetworkFit, ThousandsOfSizesDoNotTakeForever) {
  std::vector<MessageSample> samples;
  for (int i = 1; i <= 3000; ++i) samples.push_back({i * 1e3, 1e-5 + i * 1e-6});
  EXPECT_EQ(fit_transfers(samples, "test").segments.size(), 1);
}

TEST(NetworkFit, TheSingleLawIsTheOneThatMissesLeast) {
  auto samples = law(5e-6, 2e-9, 8, 1 << 14);
  append(samples, law(40e-6, 1e-10, 1 << 15, 1 << 26));
  const TransferFit fit = fit_transfers(samples, "test");
  const TransferSegment single = best_single_law(fit, samples);
  EXPECT_LE(single.mean_error, fit.one_law.mean_error);
  EXPECT_EQ(single.points, samples.size());
}

TEST(NetworkFit, NeitherLatencyNorBandwidthBecomesNegative) {
  const TransferFit fit = fit_transfers({{1e6, 1e-3}, {2e6, 2.5e-3}, {4e6, 6e-3}}, "test");
  EXPECT_EQ(fit.segments[0].alpha_s, 0);
  const TransferFit flat = fit_transfers({{1e6, 3e-3}, {2e6, 2.5e-3}, {4e6, 2e-3}}, "test");
  EXPECT_EQ(flat.segments[0].beta_s_per_byte, 0);
}

TEST(NetworkFit, OneSizeIsRefused) {
  EXPECT_THAT(
      [] {
        fit_transfers({{8, 1e-6}, {8, 2e-6}}, "log.txt");
      },
      ThrowsMessage<InputError>(HasSubstr("log.txt: a fit of latency and bandwidth")));
}

TEST(NetworkFit, ContentionComesBack) {
  std::vector<ContentionSample> samples;
  for (int jobs = 1; jobs <= 8; ++jobs)
    samples.push_back({double(jobs), 1e7, 1e-4 + 9e-9 * jobs * 1e7 + 2e-9 * (jobs - 1) * 1e7});
  EXPECT_NEAR(fit_contention(samples, 1e-4, 9e-9), 2e-9, 1e-15);
  EXPECT_THROW(fit_contention({{1, 1e6, 1}}, 0, 0), InputError);
}

}  // namespace
}  // namespace paceline
