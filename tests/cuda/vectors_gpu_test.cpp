#include "tests/cuda/gpu_backend.hpp"

// Operations on flat vectors against the reference: selections, quantisers and pointwise operations
// to the bit.
namespace paceline::kernels {
namespace {

struct Sparse {
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  explicit Sparse(std::size_t k) : indices(k), values(k) {}
  SparseOutput out() { return {indices, values}; }
  SparseView view() const { return {indices, values}; }
};

class Vectors : public GpuTest {
 protected:
  void expect_top_k(const std::vector<float>& x, std::size_t k) {
    SCOPED_TRACE(testing::Message() << "n " << x.size() << ", k " << k);
    Sparse want(k);
    reference::top_k(x, want.out());
    const auto device = to_gpu(x);
    auto indices = poisoned<std::int32_t>(k);
    auto values = poisoned<float>(k);
    gpu_->top_k(device, {indices, values});
    expect_same_bits(to_host(indices), want.indices);
    expect_same_bits(to_host(values), want.values);
  }
  void expect_error_feedback(const std::vector<float>& gradient, const std::vector<float>& residual,
                             std::size_t k, std::size_t offset = 0) {
    SCOPED_TRACE(testing::Message()
                 << "n " << gradient.size() << ", k " << k << ", offset " << offset);
    std::vector<float> sum = residual;
    reference::apply(Axpy{0.05}, {gradient, sum}, {sum});
    Sparse want(k);
    reference::top_k(sum, want.out());
    reference::clear_at(want.indices, sum);

    const std::size_t n = gradient.size();
    Array<float> g(*gpu_, n + offset);
    Array<float> r(*gpu_, n + offset);
    gpu_->copy_from_host(g.data() + offset, gradient.data(), n * 4);
    gpu_->copy_from_host(r.data() + offset, residual.data(), n * 4);
    auto indices = poisoned<std::int32_t>(k);
    auto values = poisoned<float>(k);
    gpu_->error_feedback_top_k(0.05, g.span().subspan(offset), r.span().subspan(offset),
                               {indices, values});
    expect_same_bits(to_host(indices), want.indices);
    expect_same_bits(to_host(values), want.values);
    std::vector<float> after(n);
    gpu_->copy_to_host(after.data(), r.data() + offset, n * 4);
    expect_same_bits(after, sum);
  }
};

TEST_F(Vectors, TopKRandomSizes) {
  for (const std::size_t n : {1u, 31u, 1024u, 1025u, 100003u, 1u << 19, 3000017u}) {
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, n / 10000, n / 100, n / 3, n}) {
      if (k <= n) expect_top_k(normal_values(n, static_cast<unsigned>(n + k)), k);
    }
  }
}
TEST_F(Vectors, TopKTiesZerosDenormalsNan) {
  for (const std::size_t n : {5000u, 700001u}) {
    std::mt19937 engine(3);
    std::vector<float> few(n);
    for (float& x : few) x = static_cast<float>(static_cast<int>(engine() % 9) - 4);
    for (const std::size_t k : {std::size_t{1}, n / 100, n / 2}) expect_top_k(few, k);
    expect_top_k(std::vector<float>(n, -2.5f), n / 100);
    expect_top_k(std::vector<float>(n, 0.0f), n / 100);
    std::vector<float> denormals(n);
    for (float& x : denormals) x = 1e-45f * static_cast<float>(engine() % 100000);
    expect_top_k(denormals, n / 100);
    auto broken = normal_values(n, 1);
    broken[n / 2] = NAN;
    broken[n / 3] = -INFINITY;
    for (const std::size_t k : {1u, 2u, 40u}) expect_top_k(broken, k);
  }
}
TEST_F(Vectors, ErrorFeedbackTopK) {
  for (const std::size_t n : {8192u, 1u << 19, 5000001u}) {
    for (const std::size_t k : {std::size_t{1}, n / 1000, n / 100, n / 4}) {
      expect_error_feedback(normal_values(n, 1), normal_values(n, 2), k);
      expect_error_feedback(normal_values(n, 3), normal_values(n, 4), k, 3);
    }
  }
}
TEST_F(Vectors, ErrorFeedbackTopKOfLayersOfDifferentScale) {
  const std::size_t n = 4000000;
  auto gradient = normal_values(n, 5);
  for (std::size_t i = 0; i < n; ++i) gradient[i] *= i / 50000 % 7 == 0 ? 1000.0f : 1e-3f;
  expect_error_feedback(gradient, std::vector<float>(n, 0.0f), n / 1000);
  expect_error_feedback(gradient, std::vector<float>(n, 0.0f), n / 5);
}
TEST_F(Vectors, ErrorFeedbackTopKHundredTimesTheSameBits) {
  const std::size_t n = 2000000;
  const std::size_t k = n / 1000;
  const auto gradient = to_gpu(normal_values(n, 6));
  const auto residual = normal_values(n, 7);
  auto indices = poisoned<std::int32_t>(k);
  auto values = poisoned<float>(k);
  std::vector<std::int32_t> first;
  for (int run = 0; run < 100; ++run) {
    auto r = to_gpu(residual);
    gpu_->error_feedback_top_k(0.1, gradient, r, {indices, values});
    const auto now = to_host(indices);
    if (run == 0) first = now;
    ASSERT_EQ(now, first) << "run " << run;
  }
}
TEST_F(Vectors, MomentumTopK) {
  const std::size_t n = 900001;
  const std::size_t k = 900;
  const auto gradient = normal_values(n, 1);
  auto velocity = normal_values(n, 2);
  auto accumulated = normal_values(n, 3);
  auto v = to_gpu(velocity);
  auto a = to_gpu(accumulated);
  for (std::size_t i = 0; i < n; ++i) {
    velocity[i] = 0.9f * velocity[i] + gradient[i];
    accumulated[i] += velocity[i];
  }
  Sparse want(k);
  reference::top_k(accumulated, want.out());
  reference::clear_at(want.indices, accumulated);
  reference::clear_at(want.indices, velocity);
  auto indices = poisoned<std::int32_t>(k);
  auto values = poisoned<float>(k);
  gpu_->momentum_top_k(0.9, to_gpu(gradient), v, a, {indices, values});
  expect_same_bits(to_host(indices), want.indices);
  expect_same_bits(to_host(v), velocity);
  expect_same_bits(to_host(a), accumulated);
}
TEST_F(Vectors, LegacyAndSortedTopKSelectTheSame) {
  for (const std::size_t n : {1000u, 300001u}) {
    const auto x = normal_values(n, 8);
    const std::size_t k = n / 100;
    Sparse want(k);
    reference::top_k(x, want.out());
    const auto device = to_gpu(x);
    for (const bool legacy : {true, false}) {
      auto indices = poisoned<std::int32_t>(k);
      auto values = poisoned<float>(k);
      if (legacy) {
        gpu_->legacy_top_k(device, {indices, values});
      } else {
        gpu_->sort_top_k(device, {indices, values});
      }
      auto got = to_host(indices);
      std::sort(got.begin(), got.end());
      EXPECT_EQ(got, want.indices) << (legacy ? "legacy" : "sort");
    }
  }
}
TEST_F(Vectors, Thresholds) {
  const std::size_t n = 1000003;
  const auto x = normal_values(n, 9);
  const auto device = to_gpu(x);
  for (const std::int64_t k : {10, 1000, 50000}) {
    EXPECT_EQ(gpu_->sampled_threshold(device, k, 100, 42),
              reference::sampled_threshold(x, k, 100, 42));
    const float want = reference::gaussian_threshold(x, k);
    EXPECT_NEAR(gpu_->gaussian_threshold(device, k), want, 1e-5f * want);
    for (const float threshold : {want, 0.0f, -1.0f, 1e9f, NAN}) {
      EXPECT_EQ(gpu_->count_reaching(device, threshold), reference::count_reaching(x, threshold));
      for (const std::size_t room : {std::size_t{7}, n / 20, n}) {
        Sparse host(room);
        const auto count =
            static_cast<std::size_t>(reference::select_reaching(x, threshold, host.out()));
        auto indices = poisoned<std::int32_t>(room);
        auto values = poisoned<float>(room);
        ASSERT_EQ(gpu_->select_reaching(device, threshold, {indices, values}),
                  static_cast<std::int64_t>(count));
        auto got = to_host(indices);
        got.resize(count);
        host.indices.resize(count);
        ASSERT_EQ(got, host.indices) << "threshold " << threshold << ", room " << room;
      }
    }
  }
}
TEST_F(Vectors, ScatterAddInOrder) {
  for (const std::size_t n : {100u, 4096u, 1000003u}) {
    for (const std::size_t k : {std::size_t{1}, n / 100 + 1, n / 2}) {
      std::vector<Sparse> blocks;
      std::vector<SparseView> host;
      std::vector<Array<std::int32_t>> indices;
      std::vector<Array<float>> values;
      std::vector<SparseView> device;
      for (unsigned p = 0; p < 5; ++p) {
        blocks.emplace_back(k);
        reference::top_k(normal_values(n, p), blocks.back().out());
      }
      for (const Sparse& block : blocks) {
        host.push_back(block.view());
        indices.push_back(to_gpu(block.indices));
        values.push_back(to_gpu(block.values));
        device.push_back({indices.back(), values.back()});
      }
      auto want = normal_values(n, 77);
      auto sum = to_gpu(want);
      reference::scatter_add(host, 0.2, want);
      gpu_->scatter_add(device, 0.2, sum);
      expect_same_bits(to_host(sum), want);
      std::fill(want.begin(), want.end(), 0.0f);
      reference::scatter_add(host, 0.2, want);
      auto fresh = poisoned<float>(n);
      gpu_->scatter_fresh(device, 0.2, fresh);
      expect_same_bits(to_host(fresh), want);
    }
  }
}
TEST_F(Vectors, MergeTopK) {
  const std::size_t n = 100000;
  for (const std::size_t k : {1u, 100u, 5000u}) {
    Sparse a(k), b(k);
    reference::top_k(normal_values(n, 1), a.out());
    reference::top_k(normal_values(n, 2), b.out());
    b.indices[0] = a.indices[0];
    std::sort(b.indices.begin(), b.indices.end());
    for (const std::size_t room : {k / 2 + 1, k, 2 * k}) {
      Sparse want(room);
      const auto count =
          static_cast<std::size_t>(reference::merge_top_k(a.view(), b.view(), want.out()));
      auto indices = poisoned<std::int32_t>(room);
      auto values = poisoned<float>(room);
      const auto ai = to_gpu(a.indices), bi = to_gpu(b.indices);
      const auto av = to_gpu(a.values), bv = to_gpu(b.values);
      ASSERT_EQ(gpu_->merge_top_k({ai, av}, {bi, bv}, {indices, values}),
                static_cast<std::int64_t>(count));
      auto got = to_host(indices);
      got.resize(count);
      want.indices.resize(count);
      EXPECT_EQ(got, want.indices);
      auto got_values = to_host(values);
      got_values.resize(count);
      want.values.resize(count);
      expect_same_bits(got_values, want.values);
    }
  }
}
TEST_F(Vectors, Quantisers) {
  for (const std::size_t n : {1u, 15u, 33u, 100001u}) {
    const auto gradient = normal_values(n, 1);
    auto residual = normal_values(n, 2);
    auto r = to_gpu(residual);
    std::vector<std::uint32_t> codes(two_bit_words(n));
    auto device_codes = poisoned<std::uint32_t>(codes.size());
    reference::two_bit_quantize(0.7, gradient, residual, codes);
    gpu_->two_bit_quantize(0.7, to_gpu(gradient), r, device_codes);
    expect_same_bits(to_host(device_codes), codes);
    expect_same_bits(to_host(r), residual);
    std::vector<float> back(n);
    auto device_back = poisoned<float>(n);
    reference::two_bit_dequantize(0.7, codes, back);
    gpu_->two_bit_dequantize(0.7, device_codes, device_back);
    expect_same_bits(to_host(device_back), back);

    codes.resize(sign_words(n));
    auto signs = poisoned<std::uint32_t>(codes.size());
    const float scale = reference::sign_quantize(gradient, residual, codes);
    EXPECT_NEAR(gpu_->sign_quantize(to_gpu(gradient), r, signs), scale, 1e-6f * scale);
    expect_same_bits(to_host(signs), codes);
    reference::sign_dequantize(0.25f, codes, back);
    gpu_->sign_dequantize(0.25f, signs, device_back);
    expect_same_bits(to_host(device_back), back);

    std::vector<std::uint16_t> half(n);
    auto device_half = poisoned<std::uint16_t>(n);
    reference::pack_fp16(gradient, half);
    gpu_->pack_fp16(to_gpu(gradient), device_half);
    expect_same_bits(to_host(device_half), half);
    reference::unpack_fp16(half, back);
    gpu_->unpack_fp16(device_half, device_back);
    expect_same_bits(to_host(device_back), back);
  }
}
TEST_F(Vectors, EveryPointwiseOperation) {
  for (const std::size_t n : {1u, 5u, 100003u})
    for_each_pointwise([&]<class Op>(std::size_t index) {
      const OperationInfo& info = kPointwiseInfo[index];
      SCOPED_TRACE(testing::Message() << info.name << ", n " << n);
      std::vector<std::vector<float>> host, want(info.writes.size(), std::vector<float>(n));
      std::vector<Array<float>> given, made;
      for (std::size_t r = 0; r < info.reads.size(); ++r) {
        host.push_back(normal_values(n, static_cast<unsigned>(r)));
        if (info.reads[r] == "square")
          for (float& value : host.back()) value *= value;
        given.push_back(to_gpu(host.back()));
      }
      std::vector<std::span<float>> out;
      for (const std::string_view name : info.writes) {
        made.push_back(poisoned<float>(n));
        out.push_back(made.back());
        for (std::size_t r = 0; r < info.reads.size(); ++r)
          if (name == info.reads[r]) out.back() = given[r];
      }
      reference::apply(PointwiseCall(Op{}),
                       std::vector<std::span<const float>>(host.begin(), host.end()),
                       std::vector<std::span<float>>(want.begin(), want.end()));
      gpu_->apply(PointwiseCall(Op{}),
                  std::vector<std::span<const float>>(given.begin(), given.end()), out);
      for (std::size_t w = 0; w < out.size(); ++w) {
        std::vector<float> got(n);
        gpu_->copy_to_host(got.data(), out[w].data(), n * sizeof(float));
        expect_same_bits(got, want[w]);
      }
    });
}
TEST_F(Vectors, Norms) {
  for (const std::size_t n : {1u, 5u, 100003u}) {
    const auto x = normal_values(n, 4);
    auto dx = to_gpu(x);
    const double norm = std::sqrt(reference::sum_of_squares(x));
    EXPECT_NEAR(gpu_->clip_norm(0.25, dx), norm, 1e-12 * norm);
    EXPECT_NEAR(gpu_->clip_norm(1e30, dx), std::min(norm, 0.25), 1e-6);
    gpu_->fill(3.5f, dx);
    expect_same_bits(to_host(dx), std::vector<float>(n, 3.5f));
  }
}
TEST_F(Vectors, LowRank) {
  const MatrixShape shape{300, 170, 4};
  const auto m = normal_values(300 * 170, 1), q = normal_values(170 * 4, 2);
  std::vector<float> p(300 * 4), back(170 * 4), product(300 * 170);
  const auto dm = to_gpu(m), dq = to_gpu(q);
  auto dp = poisoned<float>(p.size()), dback = poisoned<float>(back.size()),
       dproduct = poisoned<float>(product.size());
  const auto wide = [](const std::vector<float>& x) {
    return std::vector<double>(x.begin(), x.end());
  };
  reference::low_rank_left(shape, m, q, p);
  gpu_->low_rank_left(shape, dm, dq, dp);
  EXPECT_LT(relative_error(to_host(dp), wide(p)), 1e-5);
  reference::orthonormalize(shape, p);
  gpu_->orthonormalize(shape, dp);
  EXPECT_LT(relative_error(to_host(dp), wide(p)), 1e-4);
  reference::low_rank_right(shape, m, p, back);
  gpu_->low_rank_right(shape, dm, dp, dback);
  EXPECT_LT(relative_error(to_host(dback), wide(back)), 1e-4);
  reference::low_rank_reconstruct(shape, p, back, product);
  gpu_->low_rank_reconstruct(shape, dp, dback, dproduct);
  EXPECT_LT(relative_error(to_host(dproduct), wide(product)), 1e-4);
}

// The sparsification works in a graph: what was captured once is replayed on new contents.
TEST_F(Vectors, SelectionReplaysFromAGraph) {
  const std::size_t n = 1000000;
  const std::size_t k = 1000;
  const auto gradient = to_gpu(normal_values(n, 1));
  auto residual = to_gpu(normal_values(n, 2));
  auto indices = poisoned<std::int32_t>(k);
  auto values = poisoned<float>(k);
  ReplayOptions options;
  options.samples = 3;
  options.warm_up_seconds = 0.05;
  const auto samples = gpu_->time_replays(options, [&](int) {
    gpu_->error_feedback_top_k(0.1, gradient, residual, {indices, values});
  });
  EXPECT_GE(samples.seconds.size() + static_cast<std::size_t>(samples.dropped), 1u);
  for (const double seconds : samples.seconds) EXPECT_GT(seconds, 0.0);
  // The residual's selected places are the only exact zeros.
  const auto after = to_host(residual);
  for (const std::int32_t i : to_host(indices)) EXPECT_EQ(after[static_cast<std::size_t>(i)], 0.0f);
}

// A sum's bits depend on the length alone, not on where in memory the vector begins.
TEST_F(Vectors, SumsOfAnyLengthAndPlace) {
  for (const std::size_t n : {1u, 3u, 4u, 4095u, 4099u, 70001u}) {
    const auto x = normal_values(n, 1), g = normal_values(n, 2);
    const double want = reference::sum_of_squares(x);
    double first = 0;
    float first_scale = 0;
    for (const std::size_t offset : {0u, 1u, 4u}) {
      Array<float> moved(*gpu_, n + offset), gradient(*gpu_, n + offset);
      gpu_->copy_from_host(moved.data() + offset, x.data(), n * sizeof(float));
      gpu_->copy_from_host(gradient.data() + offset, g.data(), n * sizeof(float));
      const auto here = [&](Array<float>& array) { return array.span().subspan(offset); };
      const double norm = gpu_->clip_norm(1e30, here(moved)), sum = norm * norm;
      EXPECT_NEAR(sum, want, 1e-12 * want) << "n " << n << ", offset " << offset;
      std::vector<float> residual = x;
      std::vector<std::uint32_t> codes(sign_words(n));
      auto device_codes = poisoned<std::uint32_t>(codes.size());
      const float scale = reference::sign_quantize(g, residual, codes);
      const float got = gpu_->sign_quantize(here(gradient), here(moved), device_codes);
      EXPECT_NEAR(got, scale, 1e-6f * scale);
      expect_same_bits(to_host(device_codes), codes);
      if (offset == 0) {
        first = sum;
        first_scale = got;
      }
      EXPECT_EQ(sum, first);
      EXPECT_EQ(got, first_scale);
    }
  }
}

// Memory that the emulation does not have; a GPU may.
TEST_F(Vectors, ADeviceErrorNamesTheOperationAndItsSizes) {
  if (!emulated()) GTEST_SKIP() << "this is no emulation";
  const auto x = to_gpu(normal_values(10, 1));
  auto indices = poisoned<std::int32_t>(7);
  auto values = poisoned<float>(7);
  try {
    gpu_->sort_top_k({x.data(), 30'000'000}, {indices, values});
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()).find("sort_top_k, n 30000000, k 7: CUDA: allocating "), 0u)
        << error.what();
  }
}
TEST_F(Vectors, WaitingAfterEveryOperationLeavesCapturesAlone) {
  const Environment waits("PACELINE_CUDA_SYNC", "1");
  const auto gpu = load_cuda_backend(0);
  Array<float> x(*gpu, 1000);
  gpu->fill(1.0f, x);
  if (emulated()) {  // where memory is the host's, and work starts only when it is waited for
    EXPECT_EQ(*x.data(), 1.0f);
  }
  ReplayOptions options;
  options.samples = 1;
  options.sample_seconds = options.warm_up_seconds = 1e-4;
  EXPECT_FALSE(gpu->time_replays(options, [&](int) { gpu->axpy(0.5, x, x); }).seconds.empty());
}

TEST_F(Vectors, RefusesMoreThanThereIs) {
  auto x = to_gpu(normal_values(10, 1));
  auto indices = poisoned<std::int32_t>(11);
  auto values = poisoned<float>(11);
  EXPECT_THROW(gpu_->top_k(x, {indices, values}), InputError);
}

}  // namespace
}  // namespace paceline::kernels
