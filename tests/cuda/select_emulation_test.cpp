#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/cuda/select_launch.cuh"

// The selection kernels' own source, run thread by thread on the CPU, against nth_element.
namespace paceline::cuda {
namespace {

struct Selection {
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  std::vector<float> residual;
};

Selection expected(const std::vector<float>& gradient, const std::vector<float>& residual,
                   float scale, std::uint32_t k) {
  Selection result;
  result.residual = residual;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    result.residual[i] = __fadd_rn(residual[i], __fmul_rn(scale, gradient[i]));
  }
  std::vector<std::int32_t> order(gradient.size());
  std::iota(order.begin(), order.end(), 0);
  std::nth_element(order.begin(), order.begin() + k - 1, order.end(), [&](auto a, auto b) {
    const auto key = [&](std::int32_t i) {
      return magnitude_key(__float_as_uint(result.residual[i]));
    };
    return key(a) != key(b) ? key(a) > key(b) : a < b;
  });
  order.resize(k);
  std::sort(order.begin(), order.end());
  for (const std::int32_t i : order) {
    result.indices.push_back(i);
    result.values.push_back(result.residual[i]);
    result.residual[i] = 0.0f;
  }
  return result;
}

class Selector {
 public:
  Selector(std::uint32_t n, std::uint32_t k, SelectGrid grid = {3, 2}) : grid_(grid) {
    layout_ = select_layout(n, k, grid_);
    memory_.resize(layout_.total / 8, 0x5a5a5a5a5a5a5a5aull);
    std::fill_n(memory_.begin(), layout_.zeroed / 8, 0);
  }
  Selection run(const std::vector<float>& gradient, const std::vector<float>& residual, float scale,
                std::uint32_t k, bool aligned = true) {
    const auto n = static_cast<std::uint32_t>(gradient.size());
    Selection result{std::vector<std::int32_t>(k, -7), std::vector<float>(k, -7.0f), residual};
    select_top_k(nullptr, grid_,
                 ErrorFeedbackSource{gradient.data(), result.residual.data(), scale}, aligned, n, k,
                 select_memory(layout_, memory_.data()), result.indices.data(),
                 result.values.data());
    for (std::size_t i = 0; i < layout_.zeroed / 8; ++i)
      EXPECT_EQ(memory_[i], 0) << "not left clean";
    return result;
  }

 private:
  SelectGrid grid_;
  SelectLayout layout_;
  std::vector<std::uint64_t> memory_;
};

void expect_same(const Selection& got, const Selection& want) {
  EXPECT_EQ(got.indices, want.indices);
  ASSERT_EQ(got.values.size(), want.values.size());
  EXPECT_EQ(std::memcmp(got.values.data(), want.values.data(), got.values.size() * 4), 0);
  EXPECT_EQ(std::memcmp(got.residual.data(), want.residual.data(), got.residual.size() * 4), 0);
}

std::vector<float> normal(std::uint32_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(n);
  std::generate(values.begin(), values.end(), [&] { return draw(engine); });
  return values;
}

void check(const std::vector<float>& gradient, const std::vector<float>& residual, std::uint32_t k,
           bool aligned = true) {
  SCOPED_TRACE(testing::Message() << "n " << gradient.size() << " k " << k);
  const float scale = 0.1f;
  Selector selector(static_cast<std::uint32_t>(gradient.size()), k);
  expect_same(selector.run(gradient, residual, scale, k, aligned),
              expected(gradient, residual, scale, k));
}

TEST(SelectEmulation, RandomVectorsOfManySizes) {
  for (const std::uint32_t n : {1u, 2u, 31u, 32u, 33u, 1023u, 1024u, 1025u, 5000u, 40000u}) {
    for (const std::uint32_t k : {1u, n / 1000, n / 7, n - 1, n}) {
      if (k >= 1 && k <= n) check(normal(n, n + k), normal(n, 3 * n + k), k);
    }
  }
}

TEST(SelectEmulation, TiesGoToTheLowerIndex) {
  std::mt19937 engine(5);
  for (const std::uint32_t k : {1u, 100u, 1000u, 4999u}) {
    std::vector<float> few(5000);
    for (float& x : few) x = static_cast<float>(static_cast<int>(engine() % 7) - 3);
    check(few, std::vector<float>(few.size(), 0.0f), k);
  }
}

TEST(SelectEmulation, AllEqualZeroAndDenormal) {
  for (const float value : {0.0f, -0.0f, 1.0f, -3.0e38f, 1.0e-40f}) {
    for (const std::uint32_t k : {1u, 700u, 3000u}) {
      check(std::vector<float>(3000, 0.0f), std::vector<float>(3000, value), k);
    }
  }
  std::mt19937 engine(9);
  std::vector<float> denormals(3000);
  for (float& x : denormals)
    x = __uint_as_float(static_cast<std::uint32_t>((engine() & 0x807fffffu) >> (engine() % 24)));
  for (float& x : denormals) x = std::isfinite(x) ? x : 0.0f;
  check(std::vector<float>(3000, 0.0f), denormals, 1500);
}

TEST(SelectEmulation, InfinityAboveNumbersNanAboveInfinity) {
  std::vector<float> values = normal(4000, 2);
  values[17] = INFINITY;
  values[3999] = -INFINITY;
  values[2000] = __uint_as_float(0x7fc00000u);
  for (const std::uint32_t k : {1u, 2u, 3u, 10u}) check(std::vector<float>(4000, 0.0f), values, k);
}

TEST(SelectEmulation, UnalignedGivesTheSameBits) {
  check(normal(5000, 1), normal(5000, 2), 77, false);
}

TEST(SelectEmulation, MemoryServesManyCalls) {
  Selector selector(20000, 200);
  std::vector<float> residual(20000, 0.0f);
  for (unsigned step = 0; step < 4; ++step) {
    const auto gradient = normal(20000, step);
    const Selection want = expected(gradient, residual, 0.1f, 200);
    expect_same(selector.run(gradient, residual, 0.1f, 200), want);
    residual = want.residual;
  }
}

// Large enough to be sampled.
TEST(SelectEmulation, SampledNormalAndLayered) {
  const std::uint32_t n = sampling_from + 777;
  check(normal(n, 1), normal(n, 2), n / 1000);
  // Layers of very different scale: some tiles overflow their room and are read again.
  std::vector<float> layered = normal(n, 3);
  for (std::uint32_t i = 0; i < n; ++i) layered[i] *= i / 4096 % 16 == 0 ? 100.0f : 0.01f;
  check(layered, std::vector<float>(n, 0.0f), n / 100);
}

TEST(SelectEmulation, SampledGuessFarTooHighOrLow) {
  const std::uint32_t n = sampling_from;
  // Large where the sample looks and nowhere else: the guessed floor is above the k-th largest.
  std::vector<float> misled(n);
  for (std::uint32_t i = 0; i < n; ++i) misled[i] = 1e-3f * static_cast<float>(i % 1013);
  for (std::uint32_t i = 0; i < sample_size; ++i)
    misled[sample_position(i, n)] = 1e6f + static_cast<float>(i);
  check(misled, std::vector<float>(n, 0.0f), n / 20);
  // Small where it looks: all else lies above the guessed range.
  std::vector<float> blind(n);
  for (std::uint32_t i = 0; i < n; ++i) blind[i] = 1e6f + static_cast<float>(i % 5003);
  for (std::uint32_t i = 0; i < sample_size; ++i) blind[sample_position(i, n)] = 1e-3f;
  check(blind, std::vector<float>(n, 0.0f), n / 1000);
}

TEST(SelectEmulation, SampledAllEqual) {
  const std::uint32_t n = sampling_from;
  check(std::vector<float>(n, 2.0f), std::vector<float>(n, 0.0f), n / 1000);
}

TEST(SelectLogic, BucketsCoverTheirRangeInOrder) {
  std::mt19937 engine(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::uint32_t a = static_cast<std::uint32_t>(engine() & 0x7fffffffu);
    const std::uint32_t b = static_cast<std::uint32_t>(engine() & 0x7fffffffu);
    if (a == b) continue;
    const std::uint32_t lowest = std::min(a, b);
    const std::uint32_t end = std::max(a, b);
    const KeyMap map = map_over(lowest, end);
    EXPECT_EQ(bucket_of(map, lowest), 0u);
    EXPECT_LT(bucket_of(map, end - 1), bucket_count);
    const std::uint32_t key = lowest + static_cast<std::uint32_t>(engine() % (end - lowest));
    const Boundary found = boundary_at(map, end, bucket_of(map, key), 10, 4, 9);
    EXPECT_LE(found.lowest, key);
    EXPECT_GT(found.end, key);
    EXPECT_LE(found.end, end);
    EXPECT_EQ(found.wanted, 6u);
  }
}

TEST(SelectLogic, ThreeCountsReachOneKeyFromAnywhere) {
  Boundary boundary{0, key_end, 1, 1};
  int counts = 0;
  for (; !single_key(boundary); ++counts) {
    boundary = boundary_at(map_over(boundary.lowest, boundary.end), boundary.end, 0, 1, 0, 1);
  }
  EXPECT_LE(counts, 3);
}

TEST(SelectLogic, SampleRanksBracketTheExpectation) {
  const SampleRanks usual = sample_ranks(sample_size, 1.0, 1000.0);
  EXPECT_EQ(usual.below, 43u);
  EXPECT_EQ(usual.above, 6u);
  EXPECT_EQ(sample_ranks(sample_size, 1.0, 1e8).above, 0u);
  EXPECT_EQ(sample_ranks(sample_size, 1.0, 1.0).below, sample_size);
}

TEST(SelectLogic, OrderIsMagnitudeThenIndex) {
  EXPECT_LT(selection_order(5, 100), selection_order(4, 0));
  EXPECT_LT(selection_order(5, 3), selection_order(5, 4));
  EXPECT_EQ(magnitude_key(__float_as_uint(-1.5f)), magnitude_key(__float_as_uint(1.5f)));
}

}  // namespace
}  // namespace paceline::cuda
