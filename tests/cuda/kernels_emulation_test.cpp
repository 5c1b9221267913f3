#include "tests/cuda/kernels_emulation.hpp"
#include "kernels/cuda/legacy_select.cuh"
#include "kernels/cuda/low_rank.cuh"
#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/sparse.cuh"
#include "kernels/low_rank.hpp"
#include "kernels/operations/reference.hpp"
#include "kernels/quantize.hpp"
#include "kernels/sparsify.hpp"

// The source of the kernels on vectors, run on the CPU, against the reference.
namespace paceline::cuda {
namespace {

namespace reference = kernels::reference;

struct Sparse {
  std::vector<std::int32_t> indices;
  std::vector<float> values;
};
Sparse top(const std::vector<float>& x, std::size_t k) {
  Sparse result{std::vector<std::int32_t>(k), std::vector<float>(k)};
  reference::top_k(x, {result.indices, result.values});
  return result;
}

TEST(KernelEmulation, LegacyTopKSelectsTheSameSet) {
  for (const std::uint32_t k : {1u, 10u, 1500u, 3000u}) {
    auto x = normal(3000, k);
    for (std::size_t i = 0; i < x.size(); i += 3) x[i] = 1.0f;  // ties
    const Sparse want = top(x, k);
    Sparse got{std::vector<std::int32_t>(k, -1), poison(k)};
    PACELINE_LAUNCH(nullptr, 1, legacy_threads, (legacy_top_k_kernel), x.data(), 3000u, k,
                    got.indices.data(), got.values.data());
    std::sort(got.indices.begin(), got.indices.end());
    EXPECT_EQ(got.indices, want.indices);
  }
}

TEST(KernelEmulation, ScatterAddInRankOrder) {
  const std::uint32_t n = 3 * scatter_tile + 17;
  for (const std::size_t k : {1u, 100u, 5000u}) {
    std::vector<Sparse> all;
    std::vector<kernels::SparseView> views;
    SparseBlocks blocks{};
    for (unsigned p = 0; p < 3; ++p) all.push_back(top(normal(n, p), k));
    all.push_back({});  // a worker that sends nothing
    for (const Sparse& one : all) {
      views.push_back({one.indices, one.values});
      blocks.indices[blocks.count] = one.indices.data();
      blocks.values[blocks.count] = one.values.data();
      blocks.sizes[blocks.count++] = static_cast<std::uint32_t>(one.indices.size());
    }
    const std::uint32_t tiles = (n + scatter_tile - 1) / scatter_tile;
    std::vector<std::uint32_t> starts(4 * (tiles + 1), 0xcdcdcdcdu);
    PACELINE_LAUNCH(nullptr, dim3(2, 4), vector_threads, (scatter_starts_kernel), blocks, tiles,
                    starts.data());
    auto want = normal(n, 9);
    auto got = want;
    reference::scatter_add(views, 0.25, want);
    PACELINE_LAUNCH(nullptr, 2, vector_threads, (scatter_add_kernel), blocks, 0.25f, false, tiles,
                    starts.data(), got.data(), n);
    expect_same_bits(got, want);
    std::fill(want.begin(), want.end(), 0.0f);
    reference::scatter_add(views, 0.25, want);
    got = poison(n);
    PACELINE_LAUNCH(nullptr, 2, vector_threads, (scatter_add_kernel), blocks, 0.25f, true, tiles,
                    starts.data(), got.data(), n);
    expect_same_bits(got, want);
  }
}

// Indices out of order are the caller's mistake: the sum is then wrong, but nothing else is
// touched.
TEST(KernelEmulation, ScatterStaysInItsTile) {
  const std::uint32_t n = 3 * scatter_tile + 17;
  const std::uint32_t tiles = (n + scatter_tile - 1) / scatter_tile;
  Sparse backwards = top(normal(n, 1), 5000);
  std::reverse(backwards.indices.begin(), backwards.indices.end());
  SparseBlocks blocks{};
  blocks.indices[0] = backwards.indices.data();
  blocks.values[0] = backwards.values.data();
  blocks.sizes[0] = 5000;
  blocks.count = 1;
  std::vector<std::uint32_t> starts(tiles + 1, 0);
  starts.back() = 5000;
  for (std::uint32_t t = 1; t < tiles; ++t) starts[t] = 1250 * t;
  std::vector<float> sum(n + 64, -7.0f);
  PACELINE_LAUNCH(nullptr, 2, vector_threads, (scatter_add_kernel), blocks, 1.0f, true, tiles,
                  starts.data(), sum.data(), n);
  for (std::uint32_t i = n; i < sum.size(); ++i) EXPECT_EQ(sum[i], -7.0f);
}

TEST(KernelEmulation, MergeAddsWhatBothHave) {
  struct Case {
    std::size_t a, b;
    unsigned blocks;
  };
  for (const auto& [of_a, of_b, blocks] :
       {Case{1, 1, 1}, Case{40, 40, 3}, Case{1500, 1500, 1}, Case{1500, 1500, 4}, Case{1700, 3, 5},
        Case{0, 600, 2}, Case{600, 0, 2}}) {
    SCOPED_TRACE(testing::Message() << of_a << " and " << of_b << " by " << blocks);
    const Sparse a = top(normal(5000, 1), of_a);
    const Sparse b = top(normal(5000, 2), of_b);
    const std::size_t most = of_a + of_b;
    Sparse want{std::vector<std::int32_t>(most), std::vector<float>(most)};
    const auto count = static_cast<std::size_t>(reference::merge_top_k(
        {a.indices, a.values}, {b.indices, b.values}, {want.indices, want.values}));
    Sparse got{std::vector<std::int32_t>(most, -1), poison(most)};
    std::uint32_t size = 0;
    std::vector<std::uint32_t> pairs(2 * blocks, 0xcdcdcdcdu);
    const auto vector = [](const Sparse& x) {
      return SparseVector{x.indices.data(), x.values.data(),
                          static_cast<std::uint32_t>(x.indices.size())};
    };
    PACELINE_LAUNCH(nullptr, blocks, merge_threads, (merge_count_kernel), vector(a), vector(b),
                    pairs.data());
    PACELINE_LAUNCH(nullptr, blocks, merge_threads, (merge_kernel), vector(a), vector(b),
                    pairs.data(), got.indices.data(), got.values.data(), &size);
    ASSERT_EQ(size, count);
    for (auto* one : {&got, &want}) {
      one->indices.resize(count);
      one->values.resize(count);
    }
    EXPECT_EQ(got.indices, want.indices);
    expect_same_bits(got.values, want.values);
  }
}

TEST(KernelEmulation, QuantisersToTheBit) {
  for (const std::size_t n : {1u, 16u, 47u, 5000u}) {
    auto gradient = normal(n, 1);
    if (n > 20) gradient[17] = NAN;
    auto want = normal(n, 2);
    auto got = want;
    std::vector<std::uint32_t> codes(kernels::two_bit_words(n)), mine(codes.size(), 0xcdcdcdcdu);
    reference::two_bit_quantize(0.7, gradient, want, codes);
    PACELINE_LAUNCH(nullptr, 3, vector_threads, (two_bit_quantize_kernel),
                    kernels::TwoBitQuantize{0.7}, gradient.data(), got.data(), n, mine.data());
    expect_same_bits(mine, codes);
    expect_same_bits(got, want);
    reference::two_bit_dequantize(0.7, codes, want);
    PACELINE_LAUNCH(nullptr, 3, vector_threads, (two_bit_dequantize_kernel), 0.7f, codes.data(), n,
                    got.data());
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_TRUE(got[i] == want[i] || (got[i] != got[i] && want[i] != want[i]));

    gradient = normal(n, 3);
    want = normal(n, 4);
    got = want;
    codes.resize(kernels::sign_words(n));
    mine.assign(codes.size(), 0xcdcdcdcdu);
    const float scale = reference::sign_quantize(gradient, want, codes);
    std::vector<Moments> partial(sum_blocks);
    Moments total{};
    float got_scale = 0;
    const unsigned sums = sum_blocks_of(n);
    PACELINE_LAUNCH(nullptr, sums, vector_threads, (accumulate_magnitude_kernel), gradient.data(),
                    got.data(), n, partial.data());
    PACELINE_LAUNCH(nullptr, 1, sum_blocks, (sum_moments_kernel), partial.data(), sums, &total);
    PACELINE_LAUNCH(nullptr, 2, vector_threads, (sign_quantize_kernel), &total, got.data(), n,
                    mine.data(), &got_scale);
    EXPECT_EQ(got_scale, scale);
    expect_same_bits(mine, codes);
    expect_same_bits(got, want);
    reference::sign_dequantize(scale, codes, want);
    PACELINE_LAUNCH(nullptr, 2, vector_threads, (sign_dequantize_kernel), scale, codes.data(), n,
                    got.data());
    expect_same_bits(got, want);
  }
}

TEST(KernelEmulation, HalfPrecisionToTheBit) {
  std::vector<float> x = normal(4097, 1);
  std::mt19937 engine(2);
  for (int i = 0; i < 60000; ++i)
    x.push_back(__uint_as_float(static_cast<std::uint32_t>(engine())));
  for (const float edge : {0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, 6.1035156e-5f, 6.0975552e-5f,
                           5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, INFINITY, -INFINITY}) {
    x.push_back(edge);
  }
  std::vector<std::uint16_t> want(x.size()), got(x.size(), 0xcdcd);
  reference::pack_fp16(x, want);
  PACELINE_LAUNCH(nullptr, 4, vector_threads, (pack_fp16_kernel), x.data(), x.size(), got.data());
  expect_same_bits(got, want);
  std::vector<std::uint16_t> every(65536);
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::uint16_t>(i);
  std::vector<float> wide(every.size()), mine(every.size());
  reference::unpack_fp16(every, wide);
  PACELINE_LAUNCH(nullptr, 4, vector_threads, (unpack_fp16_kernel), every.data(), every.size(),
                  mine.data());
  expect_same_bits(mine, wide);
}

// Every operation of the list, at once and element by element, in place where it may be.
template <class Op>
void expect_the_references_bits(const kernels::OperationInfo& info, std::size_t n, bool aligned) {
  SCOPED_TRACE(testing::Message() << info.name << ", n " << n << (aligned ? ", aligned" : ""));
  constexpr int reads = Op::reads.size(), writes = Op::writes.size();
  std::vector<std::vector<float>> given, made(writes, poison(n));
  for (int r = 0; r < reads; ++r) {
    given.push_back(normal(n, static_cast<unsigned>(r)));
    if (info.reads[static_cast<std::size_t>(r)] == "square")
      for (float& value : given.back()) value *= value;
  }
  std::vector<std::vector<float>> want(writes, std::vector<float>(n));
  reference::apply(kernels::PointwiseCall(Op{}),
                   std::vector<std::span<const float>>(given.begin(), given.end()),
                   std::vector<std::span<float>>(want.begin(), want.end()));
  Arrays<reads, writes> arrays{};
  std::vector<std::vector<float>*> out;
  for (std::size_t w = 0; w < writes; ++w) {
    out.push_back(&made[w]);
    for (std::size_t r = 0; r < reads; ++r)
      if (info.writes[w] == info.reads[r]) out.back() = &given[r];
    arrays.out[w] = out.back()->data();
  }
  for (std::size_t r = 0; r < reads; ++r) arrays.in[r] = given[r].data();
  PACELINE_LAUNCH(nullptr, 2, vector_threads, (pointwise_kernel<OnElements<Op>, reads, writes>),
                  OnElements<Op>{Op{}}, arrays, n, aligned);
  for (std::size_t w = 0; w < writes; ++w) expect_same_bits(*out[w], want[w]);
}

TEST(KernelEmulation, PointwiseOperationsToTheBit) {
  for (const std::size_t n : {1u, 7u, 1001u, 1002u})
    for (const bool aligned : {false, true})
      kernels::for_each_pointwise([&]<class Op>(std::size_t index) {
        expect_the_references_bits<Op>(kernels::kPointwiseInfo[index], n, aligned);
      });
}

TEST(KernelEmulation, OrthonormalizeCountAndMoments) {
  const kernels::MatrixShape shape{500, 30, 3};
  auto want = normal(1500, 1);
  for (std::size_t i = 0; i < 500; ++i) want[i * 3 + 2] = 2 * want[i * 3];  // a dependent column
  auto got = want;
  reference::orthonormalize(shape, want);
  PACELINE_LAUNCH(nullptr, 1, orthonormalize_threads, (orthonormalize_kernel), 500u, 3u,
                  got.data());
  expect_near(got, want.data());

  const auto x = normal(7001, 2);
  unsigned long long count = 0;
  PACELINE_LAUNCH(nullptr, 3, vector_threads, (count_kernel), x.data(), x.size(),
                  magnitude_key(__float_as_uint(1.5f)), &count);
  EXPECT_EQ(static_cast<std::int64_t>(count), reference::count_reaching(x, 1.5f));
  std::vector<Moments> partial(sum_blocks);
  Moments total{};
  const unsigned sums = sum_blocks_of(x.size());
  PACELINE_LAUNCH(nullptr, sums, vector_threads, (moments_kernel), x.data(), x.size(),
                  partial.data());
  PACELINE_LAUNCH(nullptr, 1, sum_blocks, (sum_moments_kernel), partial.data(), sums, &total);
  EXPECT_NEAR(total.square, reference::sum_of_squares(x), 1e-9 * total.square);
}

}  // namespace
}  // namespace paceline::cuda
