// The schedules on real values: two workers that minimise quadratics of their own, against the
// papers' recursions written out here.

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "tests/algorithms/quadratics.hpp"

namespace paceline {
namespace {

using namespace simulated;

class Values : public testing::Test {
 protected:
  const ModelShape model = small_model();
  const std::size_t n = static_cast<std::size_t>(model.elements);
  const Problem problem = Problem::random(n);
  const Vector zero = Vector(n, 0);

  [[nodiscard]] Vector mean_gradient(const std::vector<Vector>& x, std::int64_t step) const {
    std::vector<Vector> g;
    for (std::size_t i = 0; i < kWorkers; ++i) g.push_back(problem.gradient(i, x[i], step));
    return mean(g);
  }
  void local_steps(std::vector<Vector>& x, std::int64_t from, std::int64_t to) const {
    for (std::int64_t s = from; s < to; ++s)
      for (std::size_t i = 0; i < kWorkers; ++i)
        x[i] = combine(1, x[i], -kRate, problem.gradient(i, x[i], s));
  }
  [[nodiscard]] Vector s_sgd(std::int64_t steps) const {
    Vector x = zero;
    for (std::int64_t s = 0; s < steps; ++s) x = combine(1, x, -kRate, mean_gradient({x, x}, s));
    return x;
  }
};

TEST_F(Values, SchedulesThatAreSSgdInDisguise) {
  const Vector expected = s_sgd(9);
  expect_near(trained("s-sgd", {{"overlap", "none"}}, 9, problem, model), expected);
  expect_near(trained("local-sgd", {{"period", 1}}, 9, problem, model), expected);
  for (const char* name : {"slgs-sgd", "lags-sgd", "gtop-k"})  // density 1 drops nothing
    for (const char* feedback : {"scaled", "raw"})
      expect_near(trained(name, {{"density", 1}, {"error_feedback", feedback}}, 9, problem, model),
                  expected);
  expect_near(trained("priority-sgd", {{"slice", "40B"}}, 9, problem, model), expected);
}

TEST_F(Values, LocalSgdAndCocod) {
  std::vector<Vector> local(kWorkers, zero), cocod(kWorkers, zero);
  for (std::int64_t s = 0; s < 12; s += 4) {
    local_steps(local, s, s + 4);
    local.assign(kWorkers, mean(local));
    // x_i^{t+k} = mean_j x_j^t - eta sum of worker i's own gradients
    const std::vector<Vector> start = cocod;
    local_steps(cocod, s, s + 4);
    for (std::size_t i = 0; i < kWorkers; ++i)
      cocod[i] = combine(1, mean(start), 1, combine(1, cocod[i], -1, start[i]));
  }
  expect_near(trained("local-sgd", {{"period", 4}}, 12, problem, model), local[0]);
  expect_near(trained("cocod-sgd", {{"period", 4}}, 12, problem, model), mean(cocod));
}

TEST_F(Values, PipeSgdIsOneGradientLate) {
  Vector x = zero, before = zero;
  for (std::int64_t s = 0; s < 12; ++s) {  // w_{t+1} = w_t - eta mean g(w_{t-1})
    const Vector next = s == 0 ? x : combine(1, x, -kRate, mean_gradient({before, before}, s - 1));
    before = x;
    x = next;
  }
  expect_near(trained("pipe-sgd", Json::object(), 12, problem, model), x);
}

TEST_F(Values, OverlapLocalSgd) {
  std::vector<Vector> x(kWorkers, zero), v(kWorkers, zero);
  Vector z = zero;
  for (std::int64_t s = 0; s < 12; s += 2) {
    local_steps(x, s, s + 2);
    std::vector<Vector> anchors;
    for (std::size_t i = 0; i < kWorkers; ++i) {
      x[i] = combine(0.4, x[i], 0.6, z);
      v[i] = combine(0.7, v[i], 1 / kRate, combine(1, z, -1, x[i]));
      anchors.push_back(combine(1, z, -kRate, v[i]));
    }
    z = mean(anchors);
  }
  expect_near(trained("overlap-local-sgd", Json::object(), 12, problem, model), mean(x));
}

TEST_F(Values, DilocoAndItsStream) {
  std::vector<Vector> x(kWorkers, zero);
  Vector anchor = zero, u = zero;
  for (std::int64_t s = 0; s < 12; s += 3) {
    local_steps(x, s, s + 3);
    const Vector delta = combine(1, anchor, -1, mean(x));
    u = combine(0.9, u, 1, delta);
    anchor = combine(1, anchor, -0.7, combine(1, delta, 0.9, u));
    x.assign(kWorkers, anchor);
  }
  expect_near(trained("diloco", {{"period", 3}}, 12, problem, model), anchor);
  // One fragment, no overlap, no mixing, full precision: the same.
  const Json options{{"period", 3}, {"fragments", 1}, {"overlap", 0},
                     {"mixing", 0}, {"bits", 32},     {"outer_rate", 0.7}};
  expect_near(trained("streaming-diloco", options, 12, problem, model), anchor);
}

TEST_F(Values, StreamingDilocoInFewBitsStaysNearFullPrecision) {
  Json options{{"period", 4}, {"fragments", 2}, {"overlap", 1}};
  const Vector four = trained("streaming-diloco", options, 40, problem, model);
  options["bits"] = 32;
  const Vector full = trained("streaming-diloco", options, 40, problem, model);
  double distance = 0, size = 0;
  for (std::size_t j = 0; j < n; ++j) {
    distance += std::pow(four[j] - full[j], 2);
    size += full[j] * full[j];
  }
  EXPECT_LT(distance, 0.02 * size);
  EXPECT_GT(distance, 0);
}

// The k entries largest in magnitude of x[from, to); the others are zero.
Vector top(const Vector& x, std::size_t from, std::size_t to, std::size_t k) {
  std::vector<std::size_t> order(to - from);
  std::iota(order.begin(), order.end(), from);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return std::abs(x[a]) > std::abs(x[b]); });
  Vector kept(x.size(), 0);
  for (std::size_t i = 0; i < k; ++i) kept[order[i]] = x[order[i]];
  return kept;
}

TEST_F(Values, SlgsLagsAndDgc) {
  struct Group {
    std::size_t from, to, k;
  };
  const std::vector<Group> whole{{0, n, 15}}, layers{{0, 48, 10}, {48, 53, 1}, {53, 73, 4}};
  for (const auto& groups : {whole, layers}) {
    Vector x = zero, y = zero;  // y: DGC
    std::vector<Vector> eps(kWorkers, zero), u(kWorkers, zero), v(kWorkers, zero);
    for (std::int64_t s = 0; s < 15; ++s) {
      std::vector<Vector> sent(kWorkers, zero), dgc(kWorkers, zero);
      for (std::size_t i = 0; i < kWorkers; ++i) {
        const Vector a = combine(1, eps[i], kRate, problem.gradient(i, x, s));
        u[i] = combine(0.9, u[i], 1, problem.gradient(i, y, s));
        v[i] = combine(1, v[i], 1, u[i]);
        for (const Group& g : groups) {
          sent[i] = combine(1, sent[i], 1, top(a, g.from, g.to, g.k));
          dgc[i] = combine(1, dgc[i], 1, top(v[i], g.from, g.to, g.k));
        }
        eps[i] = combine(1, a, -1, sent[i]);
        for (std::size_t j = 0; j < n; ++j)
          if (dgc[i][j] != 0) u[i][j] = v[i][j] = 0;
      }
      x = combine(1, x, -1, mean(sent));
      y = combine(1, y, -kRate, mean(dgc));
    }
    const bool layer_wise = groups.size() > 1;
    Json options{{"density", 0.2}};
    if (!layer_wise) expect_near(trained("slgs-sgd", options, 15, problem, model), x);
    options["grouping"] = layer_wise ? "none" : "threshold";
    expect_near(trained("lags-sgd", options, 15, problem, model), x);
    expect_near(trained("dgc", options, 15, problem, model), y);
  }
}

TEST_F(Values, GTopKReturnsWhatTheTreeDrops) {
  Vector x = zero;
  std::vector<Vector> eps(kWorkers, zero);
  for (std::int64_t s = 0; s < 15; ++s) {
    std::vector<Vector> sent;
    for (std::size_t i = 0; i < kWorkers; ++i) {
      const Vector a = combine(1, eps[i], kRate, problem.gradient(i, x, s));
      sent.push_back(top(a, 0, n, 15));
      eps[i] = combine(1, a, -1, sent[i]);
    }
    const Vector kept = top(mean(sent), 0, n, 15);
    for (std::size_t i = 0; i < kWorkers; ++i)
      for (std::size_t j = 0; j < n; ++j)
        if (kept[j] == 0) eps[i][j] += sent[i][j];
    x = combine(1, x, -1, kept);
  }
  expect_near(trained("gtop-k", {{"density", 0.2}}, 15, problem, model), x);
}

TEST_F(Values, PowerSgdIsExactOnGradientsOfItsRank) {
  // Targets that are multiples of one outer product keep every gradient at rank 1.
  Problem low = problem;
  low.noise = 0;
  low.slope = {1, 1};
  for (std::size_t i = 0; i < kWorkers; ++i)
    for (const auto& tensor : model.tensors)
      for (std::int64_t j = 0; j < tensor.elements; ++j) {
        const std::int64_t columns = tensor.elements / tensor.rows;
        low.target[i][static_cast<std::size_t>(tensor.offset + j)] =
            (1 + static_cast<double>(i)) * std::sin(1.0 + static_cast<double>(j / columns)) *
            std::cos(2.0 + static_cast<double>(j % columns));
      }
  const Vector exact = trained("s-sgd", {{"overlap", "none"}}, 8, low, model);
  expect_near(trained("power-sgd", {{"rank", 1}}, 8, low, model), exact);
}

TEST_F(Values, PowerSgdFeedsItsErrorBack) {
  // Of higher rank, what one step leaves out the next ones bring: it ends near S-SGD.
  const Vector found = trained("power-sgd", {{"rank", 1}}, 200, problem, model), x = s_sgd(200);
  double distance = 0, size = 0;
  for (std::size_t j = 0; j < n; ++j) {
    distance += std::pow(found[j] - x[j], 2);
    size += x[j] * x[j];
  }
  EXPECT_LT(distance, 0.05 * size);
}

}  // namespace
}  // namespace paceline
