#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/blend.hpp"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/im2col.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/legacy_select.cuh"
#include "kernels/cuda/low_rank.cuh"
#include "kernels/cuda/normalization.cuh"
#include "kernels/cuda/operations.cuh"
#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/sequence.cuh"
#include "kernels/cuda/sparse.cuh"
#include "kernels/low_rank.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/plain.hpp"
#include "kernels/quantize.hpp"
#include "kernels/random.hpp"
#include "kernels/sparsify.hpp"

// The other kernels' source, run on the CPU, against the reference.
namespace paceline::cuda {
namespace {

namespace reference = kernels::reference;

std::vector<float> normal(std::size_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(n);
  for (float& value : values) value = draw(engine);
  return values;
}
template <class T>
void expect_same_bits(const std::vector<T>& got, const std::vector<T>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(T)), 0)
        << "at " << i << ": " << got[i] << " for " << want[i];
  }
}
void expect_near(const std::vector<float>& got, const float* want, double tolerance = 1e-5) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], tolerance * (1 + std::fabs(want[i]))) << "at " << i;
  }
}
std::vector<float> poison(std::size_t n) {
  return std::vector<float>(n, NAN);
}

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
  for (const std::size_t k : {1u, 40u, 1500u}) {
    const Sparse a = top(normal(5000, 1), k);
    const Sparse b = top(normal(5000, 2), k);
    Sparse want{std::vector<std::int32_t>(2 * k), std::vector<float>(2 * k)};
    const auto count = static_cast<std::size_t>(reference::merge_top_k(
        {a.indices, a.values}, {b.indices, b.values}, {want.indices, want.values}));
    Sparse got{std::vector<std::int32_t>(2 * k, -1), poison(2 * k)};
    std::uint32_t size = 0;
    PACELINE_LAUNCH(nullptr, 1, merge_threads, (merge_kernel), a.indices.data(), a.values.data(),
                    static_cast<std::uint32_t>(k), b.indices.data(), b.values.data(),
                    static_cast<std::uint32_t>(k), got.indices.data(), got.values.data(), &size);
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
    PACELINE_LAUNCH(nullptr, 3, vector_threads, (two_bit_quantize_kernel), 0.7f, gradient.data(),
                    got.data(), n, mine.data());
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

template <class Op, int In, int Out>
void run(const Op& op, const Arrays<In, Out>& arrays, std::size_t n) {
  for (const bool aligned : {true, false}) {
    if (aligned && n % 2 == 0)
      continue;  // either path, by size: outputs may be inputs, so once only
    PACELINE_LAUNCH(nullptr, 2, vector_threads, (pointwise_kernel<Op, In, Out>), op, arrays, n,
                    aligned);
    return;
  }
}

TEST(KernelEmulation, PointwiseOperationsToTheBit) {
  for (const std::size_t n : {1u, 7u, 1001u, 1002u}) {
    const auto g = normal(n, 1), b = normal(n, 2), c = normal(n, 3);
    auto x = normal(n, 4), y = normal(n, 5), z = normal(n, 6);
    for (float& value : z) value *= value;
    auto mx = x, my = y, mz = z;
    reference::sgd_step({0.1, 0.9, 1e-4, true}, g, y, x);
    run<MomentumSgd, 3, 2>({0.1f, 0.9f, 1e-4f, true},
                           {{g.data(), my.data(), mx.data()}, {my.data(), mx.data()}}, n);
    expect_same_bits(mx, x);
    expect_same_bits(my, y);
    reference::adamw_step({}, 1, g, y, z, x);
    const AdamW adamw{0.9f,
                      0.999f,
                      static_cast<float>(1 - 0.9),
                      static_cast<float>(1 - 0.999),
                      static_cast<float>(1e-3 / (1 - 0.9)),
                      static_cast<float>(std::sqrt(1 - 0.999)),
                      1e-8f,
                      static_cast<float>(1 - 1e-3 * 1e-2)};
    run<AdamW, 4, 3>(
        adamw, {{g.data(), my.data(), mz.data(), mx.data()}, {my.data(), mz.data(), mx.data()}}, n);
    expect_same_bits(mx, x);
    expect_same_bits(mz, z);
    reference::add_progress(g, b, x);
    run<AddProgress, 3, 1>({}, {{g.data(), b.data(), mx.data()}, {mx.data()}}, n);
    reference::interpolate(0.6, g, x);
    run<Interpolate, 2, 1>({0.6f}, {{g.data(), mx.data()}, {mx.data()}}, n);
    reference::axpy(0.3, g, x);
    run<Axpy, 2, 1>({0.3f}, {{g.data(), mx.data()}, {mx.data()}}, n);
    expect_same_bits(mx, x);
    reference::delay_compensate_adaptive(2, 0.95, g, b, c, z, x);
    run<DelayCompensateAdaptive, 4, 2>(
        {2.0f, 0.95f, static_cast<float>(1 - 0.95)},
        {{g.data(), b.data(), c.data(), mz.data()}, {mx.data(), mz.data()}}, n);
    expect_same_bits(mx, x);
    reference::od_sgd_local_update({0.5, 1e-4, 0.04, 0.01}, g, b, c, x);
    run<OdSgdLocalUpdate, 3, 1>({0.5f, 1e-4f, 0.04f, 0.01f},
                                {{g.data(), b.data(), c.data()}, {mx.data()}}, n);
    expect_same_bits(mx, x);
  }
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

TEST(KernelEmulation, RandomWordsAreThePhiloxOfTheReference) {
  for (const std::uint64_t index : {0ull, 1ull, 123456789ull, 1ull << 40}) {
    const auto want = kernels::random_words(0x123456789abcdefull, 77, index);
    const uint4 got = random_words(0x123456789abcdefull, 77, index);
    EXPECT_EQ((std::array<std::uint32_t, 4>{got.x, got.y, got.z, got.w}), want);
  }
}

// A reference layer's forward and backward, for the kernels to be compared with.
struct Reference {
  explicit Reference(const kernels::LayerShape& shape, unsigned seed, float integers = 0)
      : layer(kernels::make_reference_layer<float>(shape)) {
    const auto dims = kernels::input_dims(shape);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      inputs.push_back(std::make_unique<kernels::PlainActivation<float>>(dims[i]));
      gradients.push_back(std::make_unique<kernels::PlainActivation<float>>(dims[i]));
      auto values = normal(inputs[i]->size(), seed + static_cast<unsigned>(i));
      if (integers > 0 && i + 1 == dims.size()) {
        for (float& v : values)
          v = std::floor(std::fabs(v) * 1000) -
              integers * std::floor(std::floor(std::fabs(v) * 1000) / integers);
      }
      std::copy(values.begin(), values.end(), inputs[i]->data());
      input_pointers.push_back(inputs[i].get());
      gradient_pointers.push_back(integers > 0 && i + 1 == dims.size() ? nullptr
                                                                       : gradients[i].get());
    }
    for (const auto& d : kernels::parameter_dims(shape)) {
      parameters.push_back(normal(static_cast<std::size_t>(kernels::elements(d)),
                                  seed + 50 + static_cast<unsigned>(parameters.size())));
      parameter_gradients.push_back(poison(parameters.back().size()));
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameter_pointers.push_back(parameters[i].data());
      parameter_gradient_pointers.push_back(parameter_gradients[i].data());
    }
    state = kernels::initial_state(shape);
    first_state = state;
    output = std::make_unique<kernels::PlainActivation<float>>(kernels::output_dims(shape));
    output_gradient =
        std::make_unique<kernels::PlainActivation<float>>(kernels::output_dims(shape));
    const auto dy = normal(output->size(), seed + 99);
    std::copy(dy.begin(), dy.end(), output_gradient->data());
    layer->forward({input_pointers, *output, parameter_pointers, state.data(), true, 5});
    layer->backward({input_pointers, *output, *output_gradient, parameter_pointers,
                     gradient_pointers, parameter_gradient_pointers});
  }
  const float* x(std::size_t i = 0) const { return inputs[i]->data(); }
  const float* dy() const { return output_gradient->data(); }

  std::unique_ptr<kernels::Layer> layer;
  std::vector<std::unique_ptr<kernels::PlainActivation<float>>> inputs, gradients;
  std::vector<const kernels::Activation*> input_pointers;
  std::vector<kernels::Activation*> gradient_pointers;
  std::vector<std::vector<float>> parameters, parameter_gradients;
  std::vector<const float*> parameter_pointers;
  std::vector<float*> parameter_gradient_pointers;
  std::vector<float> state, first_state;
  std::unique_ptr<kernels::PlainActivation<float>> output, output_gradient;
};

TEST(LayerEmulation, BatchNorm) {
  for (const bool relu : {false, true}) {
    const kernels::BatchNormShape shape{{5, 3, 11, 13}, 1e-5, 0.1, relu};
    const Reference want(shape, 1);
    const Plane plane{5, 3, 143};
    const unsigned parts = 2;
    std::vector<Moments> partial(3 * parts);
    auto state = want.first_state;
    std::vector<float> mean = poison(3), inverse = poison(3), y = poison(5 * 3 * 143), dx = y,
                       scale = mean, shift = mean;
    PACELINE_LAUNCH(nullptr, dim3(3, parts), layer_threads, (batch_norm_moments_kernel), want.x(),
                    plane, partial.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (batch_norm_statistics_kernel), want.x(), plane,
                    partial.data(), parts, 1e-5, 0.1, mean.data(), inverse.data(), state.data(),
                    state.data() + 3);
    PACELINE_LAUNCH(nullptr, 2, layer_threads, (batch_norm_apply_kernel), want.x(), plane,
                    mean.data(), inverse.data(), want.parameters[0].data(),
                    want.parameters[1].data(), relu, y.data());
    expect_near(y, want.output->data());
    expect_near(state, want.state.data());
    PACELINE_LAUNCH(nullptr, dim3(3, parts), layer_threads, (batch_norm_gradient_sums_kernel),
                    want.x(), y.data(), want.dy(), plane, mean.data(), inverse.data(), relu,
                    partial.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (batch_norm_parameter_gradients_kernel),
                    partial.data(), parts, 3u, scale.data(), shift.data());
    PACELINE_LAUNCH(nullptr, 2, layer_threads, (batch_norm_input_gradient_kernel), want.x(),
                    y.data(), want.dy(), plane, mean.data(), inverse.data(),
                    want.parameters[0].data(), scale.data(), shift.data(), relu, dx.data());
    expect_near(scale, want.parameter_gradients[0].data(), 1e-4);
    expect_near(shift, want.parameter_gradients[1].data(), 1e-4);
    expect_near(dx, want.gradients[0]->data(), 1e-4);
  }
}

TEST(LayerEmulation, LayerNorm) {
  const Reference want(kernels::LayerNormShape{7, 300, 1e-5}, 2);
  std::vector<float> mean = poison(7), inverse = poison(7), y = poison(2100), dx = y,
                     scale = poison(300), shift = scale;
  PACELINE_LAUNCH(nullptr, 7, layer_threads, (layer_norm_kernel), want.x(), 300u, 1e-5,
                  want.parameters[0].data(), want.parameters[1].data(), mean.data(), inverse.data(),
                  y.data());
  PACELINE_LAUNCH(nullptr, 10, layer_threads, (layer_norm_parameter_gradients_kernel), want.x(),
                  want.dy(), 7u, 300u, mean.data(), inverse.data(), scale.data(), shift.data());
  PACELINE_LAUNCH(nullptr, 7, layer_threads, (layer_norm_input_gradient_kernel), want.x(),
                  want.dy(), 300u, want.parameters[0].data(), mean.data(), inverse.data(),
                  dx.data());
  expect_near(y, want.output->data());
  expect_near(scale, want.parameter_gradients[0].data());
  expect_near(shift, want.parameter_gradients[1].data());
  expect_near(dx, want.gradients[0]->data());
}

TEST(LayerEmulation, Pool) {
  for (const bool maximum : {false, true}) {
    for (const bool ceil : {false, true}) {
      for (const bool count_padding : {false, true}) {
        const kernels::PoolShape shape{
            {2, 3, 13, 10},
            {3, 2, 2, 3, 1, 1},
            maximum ? kernels::PoolKind::max : kernels::PoolKind::average,
            ceil,
            count_padding};
        const Reference want(shape, 3);
        const auto out = shape.output();
        const PoolGeometry g{6,
                             13,
                             10,
                             static_cast<int>(out.height),
                             static_cast<int>(out.width),
                             3,
                             2,
                             2,
                             3,
                             1,
                             1,
                             count_padding};
        std::vector<float> y = poison(want.output->size()), dx = poison(want.inputs[0]->size());
        std::vector<std::int32_t> where(y.size(), -7);
        PACELINE_LAUNCH(nullptr, 2, layer_threads, (pool_kernel), want.x(), g, maximum, y.data(),
                        where.data());
        PACELINE_LAUNCH(nullptr, 2, layer_threads, (pool_gradient_kernel), want.dy(), where.data(),
                        g, maximum, dx.data());
        expect_near(y, want.output->data());
        expect_near(dx, want.gradients[0]->data());
      }
    }
  }
}

TEST(LayerEmulation, LrnSubsampleAddDropoutBias) {
  {
    const Reference want(kernels::LrnShape{{2, 9, 3, 3}, 5, 0.02, 0.75, 1}, 4);
    const LrnGeometry g{9, 9, 162, 5, 0.02f, 0.75f, 1.0f};
    std::vector<float> base = poison(162), y = base, dx = base;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lrn_kernel), want.x(), g, base.data(), y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lrn_gradient_kernel), want.x(), base.data(),
                    y.data(), want.dy(), g, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  {
    const Reference want(kernels::SubsamplePadShape{{2, 3, 7, 8}, 8, 2}, 5);
    const ShortcutGeometry g{3, 7, 8, 8, 4, 4, 2, 2};
    std::vector<float> y = poison(want.output->size()), dx = poison(want.inputs[0]->size());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (subsample_pad_kernel), want.x(), g, y.size(),
                    y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (subsample_pad_gradient_kernel), want.dy(), g,
                    dx.size(), dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  {
    const Reference want(kernels::AddShape{{5, 21}, 3, true}, 6);
    std::vector<float> y = poison(105);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (add_kernel),
                    AddInputs{{want.x(0), want.x(1), want.x(2)}, 3}, 105u, true, y.data());
    expect_near(y, want.output->data());
  }
  {
    const Reference want(kernels::DropoutShape{{1003}, 0.3, 12}, 7);
    std::vector<float> y = poison(1003), dx = y;
    const auto limit = static_cast<std::uint64_t>(std::round(0.3 * 0x1p32));
    const auto factor = static_cast<float>(1 / (1 - 0.3));
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (dropout_kernel), want.x(), 1003u, 5u, 12u, limit,
                    factor, y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (dropout_kernel), want.dy(), 1003u, 5u, 12u, limit,
                    factor, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  const auto x = normal(6 * 5 * 4, 8);
  std::vector<float> sums = poison(5), columns = poison(20), bias = normal(5, 9), y = x;
  PACELINE_LAUNCH(nullptr, 5, layer_threads, (channel_sums_kernel), x.data(), 6u, 5u, 4u,
                  sums.data());
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (column_sums_kernel), x.data(), 6u, 20u,
                  columns.data());
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (add_bias_kernel), bias.data(), 5u, 4u, x.size(),
                  y.data());
  for (std::size_t c = 0; c < 5; ++c) {
    double sum = 0;
    double by_columns = 0;
    for (std::size_t i = 0; i < 24; ++i) sum += x[(i / 4 * 5 + c) * 4 + i % 4];
    for (std::size_t p = 0; p < 4; ++p) by_columns += columns[c * 4 + p];
    EXPECT_NEAR(sums[c], sum, 1e-5);
    EXPECT_NEAR(by_columns, sum, 1e-5);
    EXPECT_EQ(y[c * 4], x[c * 4] + bias[c]);
  }
}

TEST(LayerEmulation, EmbeddingAndSoftmaxLoss) {
  {
    const Reference want(kernels::EmbeddingShape{40, 9, 37}, 1, 9);
    std::vector<float> y = poison(want.output->size()), table(9 * 37, 0.0f);
    Fault fault{};
    PACELINE_LAUNCH(nullptr, 40, layer_threads, (embedding_kernel), want.x(),
                    want.parameters[0].data(), 9u, 37u, y.data(), &fault);
    PACELINE_LAUNCH(nullptr, 40, layer_threads, (embedding_gradient_kernel), want.x(), want.dy(),
                    40u, 9u, 37u, table.data(), &fault);
    expect_near(y, want.output->data());
    expect_near(table, want.parameter_gradients[0].data());
    EXPECT_EQ(fault.kind, 0);
    const float bad = 9;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (embedding_kernel), &bad, want.parameters[0].data(),
                    9u, 37u, y.data(), &fault);
    EXPECT_EQ(fault.kind, 1);
    EXPECT_EQ(fault.value, 9.0f);
  }
  for (const std::int64_t classes : {2, 10, 700}) {
    const Reference want(kernels::SoftmaxLossShape{13, classes}, 2, static_cast<float>(classes));
    const auto n = static_cast<std::size_t>(classes);
    std::vector<float> rows(4 * 13, NAN), y = poison(2), dx = poison(13 * n);
    Fault fault{};
    PACELINE_LAUNCH(nullptr, 13, layer_threads, (softmax_loss_kernel), want.x(0), want.x(1), n,
                    rows.data(), rows.data() + 13, rows.data() + 26, rows.data() + 39, &fault);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (loss_means_kernel), rows.data(), rows.data() + 13,
                    13u, y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (softmax_gradient_kernel), want.x(0), want.x(1),
                    rows.data() + 26, rows.data() + 39, want.dy(), 13u, n, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
}

// C [m,n] = op(A) op(B) + beta C with row strides, as the CUDA layers ask of cuBLAS.
void product(bool ta, bool tb, std::size_t m, std::size_t n, std::size_t k, const float* a,
             std::size_t row_a, const float* b, std::size_t row_b, float beta, float* c,
             std::size_t row_c) {
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : beta * c[i * row_c + j];
      for (std::size_t l = 0; l < k; ++l)
        sum += double(ta ? a[l * row_a + i] : a[i * row_a + l]) *
               (tb ? b[j * row_b + l] : b[l * row_b + j]);
      c[i * row_c + j] = static_cast<float>(sum);
    }
  }
}

TEST(LayerEmulation, Lstm) {
  const std::size_t batch = 3, steps = 4, inputs = 5, hidden = 6;
  const Reference want(kernels::LstmShape{3, 4, 5, 6, 2}, 3);
  const LstmGeometry g{batch, steps, hidden};
  const auto& w = want.parameters[0];
  const auto& u = want.parameters[1];
  std::vector<float> gates = poison(batch * steps * 4 * hidden),
                     cells = poison(batch * steps * hidden), y = cells, previous = cells;
  std::vector<float> d_hidden = poison(batch * hidden), d_cell = d_hidden,
                     state = poison(2 * batch * hidden);
  const float* h0 = want.first_state.data();
  const float* c0 = h0 + batch * hidden;
  product(false, true, batch * steps, 4 * hidden, inputs, want.x(), inputs, w.data(), inputs, 0,
          gates.data(), 4 * hidden);
  for (std::size_t t = 0; t < steps; ++t) {
    product(false, true, batch, 4 * hidden, hidden, t == 0 ? h0 : y.data() + (t - 1) * hidden,
            t == 0 ? hidden : steps * hidden, u.data(), hidden, 1, gates.data() + t * 4 * hidden,
            steps * 4 * hidden);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_step_kernel), g, t, want.parameters[2].data(),
                    want.parameters[3].data(), c0, gates.data(), cells.data(), y.data());
  }
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_state_kernel), g, y.data(), cells.data(),
                  state.data());
  expect_near(y, want.output->data());
  expect_near(state, want.state.data());
  for (std::size_t t = steps; t-- > 0;) {
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_step_gradient_kernel), g, t, want.dy(), c0,
                    cells.data(), d_hidden.data(), d_cell.data(), gates.data());
    product(false, false, batch, hidden, 4 * hidden, gates.data() + t * 4 * hidden,
            steps * 4 * hidden, u.data(), hidden, 0, d_hidden.data(), hidden);
  }
  std::vector<float> dw = poison(w.size()), du = poison(u.size()), db = poison(4 * hidden),
                     dx = poison(batch * steps * inputs);
  product(true, false, 4 * hidden, inputs, batch * steps, gates.data(), 4 * hidden, want.x(),
          inputs, 0, dw.data(), inputs);
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_previous_kernel), g, h0, y.data(),
                  previous.data());
  product(true, false, 4 * hidden, hidden, batch * steps, gates.data(), 4 * hidden, previous.data(),
          hidden, 0, du.data(), hidden);
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (column_sums_kernel), gates.data(), batch * steps,
                  4 * hidden, db.data());
  product(false, false, batch * steps, inputs, 4 * hidden, gates.data(), 4 * hidden, w.data(),
          inputs, 0, dx.data(), inputs);
  expect_near(dw, want.parameter_gradients[0].data());
  expect_near(du, want.parameter_gradients[1].data());
  expect_near(db, want.parameter_gradients[2].data());
  expect_near(dx, want.gradients[0]->data());
}

TEST(LayerEmulation, ConvolutionAsMatrixProducts) {
  const kernels::Conv2dShape shape{{2, 4, 9, 8}, 6, {3, 2, 2, 1, 1, 0}, 2, false};
  const Reference want(shape, 4);
  const auto out = shape.output();
  const ConvGeometry g{2, 9, 8, static_cast<int>(out.height), static_cast<int>(out.width), 3, 2, 2,
                       1, 1, 0};
  const auto pixels = static_cast<std::size_t>(out.pixels());
  const std::size_t depth = 2 * 3 * 2, filters = 3, image = 4 * 72;
  std::vector<float> columns = poison(2 * depth * pixels), y = poison(want.output->size()),
                     dx = poison(2 * image), dw = poison(6 * depth);
  for (std::size_t group = 0; group < 2; ++group) {
    const float* weight = want.parameters[0].data() + group * filters * depth;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (im2col_kernel), want.x() + group * 2 * 72, g, image,
                    columns.size(), columns.data());
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t at = (i * 6 + group * filters) * pixels;
      product(false, false, filters, pixels, depth, weight, depth,
              columns.data() + i * depth * pixels, pixels, 0, y.data() + at, pixels);
      product(false, true, filters, depth, pixels, want.dy() + at, pixels,
              columns.data() + i * depth * pixels, pixels, i == 0 ? 0.0f : 1.0f,
              dw.data() + group * filters * depth, depth);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      product(true, false, depth, pixels, filters, weight, depth,
              want.dy() + (i * 6 + group * filters) * pixels, pixels, 0,
              columns.data() + i * depth * pixels, pixels);
    }
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (col2im_kernel), columns.data(), g, image,
                    2u * 2 * 72, dx.data() + group * 2 * 72);
  }
  expect_near(y, want.output->data());
  expect_near(dw, want.parameter_gradients[0].data());
  expect_near(dx, want.gradients[0]->data());
}

}  // namespace
}  // namespace paceline::cuda
