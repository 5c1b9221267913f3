// ACCO and DeMo: their times as recurrences written out here, their traffic, and their values on quadratics.

#include <gtest/gtest.h>

#include <numeric>

#include "base/json.hpp"
#include "tests/algorithms/quadratics.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;

std::vector<ModelShape> models() {
  return {random_model(1, 7, 1e-4), random_model(2, 12, 1e-3), random_model(3, 5, 1e-2)};
}

// A reduce-scatter, or the gather of shares.
double half_s(const Star& star, double bytes) {
  return star.all_reduce_s(bytes) / 2;
}

class AccoValues : public testing::Test {
 protected:
  const ModelShape model = small_model();
  const std::size_t n = static_cast<std::size_t>(model.elements);
  const Problem problem = Problem::random(n);
  const Vector zero = Vector(n, 0);
};
class DemoValues : public AccoValues {};

// In a round the exchange of the last half goes on beside the passes; the step on the share waits for the layer that
// computes, and the gather for the step.
TEST(AccoIdentity, ExchangesBesideTheNextHalf) {
  for (const ModelShape& model : models())
    for (const int half : {1, 3}) {
      const Star star;
      const double reduced = star.all_reduce_s(4) + half_s(star, model_bytes(model));
      double computed = 0, stepped = -1;
      const auto pass = [&](double seconds) {
        computed += seconds;
        if (stepped < 0 && computed >= reduced) stepped = computed;
      };
      for (int i = 0; i < half; ++i) {
        for (const auto& tensor : model.tensors) pass(tensor.forward_s);
        for (const TensorId t : model.backward_order) pass(model.tensors[t].backward_s);
      }
      if (stepped < 0) stepped = reduced;
      const double round = std::max(computed, stepped + half_s(star, model_bytes(model)));
      const JobResult r = run("acco", {{"half", half}}, model, star, 8 * half);
      EXPECT_NEAR(r.iteration_time_s * half, round, kTight * round) << half;
      const double traffic = (2 * (model_bytes(model) + 4) * 3 / 4) / half;
      EXPECT_NEAR(r.sent_bytes, traffic, kTight * traffic);
    }
}

// Round by round: an estimate from the first half, forgotten but for the gradients computed on it; the update from both.
TEST_F(AccoValues, UpdatesInTwoRounds) {
  for (const std::int64_t half : {1, 2}) {
    Vector theta = zero, m = zero, v = zero, x = zero;  // x: what gradients are computed on
    std::int64_t updates = 0;
    const auto adam = [&](const Vector& g, bool keep) {
      const auto t = static_cast<double>(updates + 1);
      Vector moved = theta;
      for (std::size_t j = 0; j < n; ++j) {
        const double mean = 0.9 * m[j] + 0.1 * g[j], square = 0.95 * v[j] + 0.05 * g[j] * g[j];
        moved[j] =
            (1 - kRate * 0.1) * theta[j] - kRate * mean / (1 - std::pow(0.9, t)) /
                                               (std::sqrt(square / (1 - std::pow(0.95, t))) + 0.5);
        if (keep) m[j] = mean, v[j] = square;
      }
      return moved;
    };
    std::vector<Vector> halves;
    for (std::int64_t round = 0; round < 9; ++round) {
      Vector sum = zero;
      for (std::int64_t s = round * half; s < (round + 1) * half; ++s)
        sum = combine(1, sum, 1.0 / static_cast<double>(half),
                      mean({problem.gradient(0, x, s), problem.gradient(1, x, s)}));
      if (round % 2 == 1) {
        x = adam(halves.back(), false);
      } else if (round > 0) {
        theta = x = adam(combine(0.5, halves.end()[-2], 0.5, halves.back()), true);
        ++updates;
      }
      halves.push_back(sum);
    }
    expect_near(trained("acco", {{"half", half}, {"epsilon", 0.5}}, 9 * half, problem, model), x);
  }
}

TEST(DemoIdentity, GathersIndicesAndValues) {
  const ModelShape model = random_model(1, 6);
  const Star star;
  double kept = 0;
  for (const ModelShape::Item& tensor : model.tensors) {
    std::int64_t side = 64;
    while (tensor.elements % side != 0) --side;
    kept += static_cast<double>(tensor.elements / side * std::min<std::int64_t>(side, 32));
  }
  const double expected =
      compute_s(model) + star.all_gather_s(8 * kept) + star.all_gather_s(4 * kept);
  EXPECT_NEAR(run("demo", Json::object(), model, star, 8).iteration_time_s, expected,
              kTight * expected);
}

// Of a matrix of `rows`, whole as one block, by its sums: coefficient (u, v), or element (y, x).
Vector cosine_transform(const Vector& x, std::size_t rows, bool back) {
  const std::size_t columns = x.size() / rows;
  const auto basis = [](std::size_t n, std::size_t k, std::size_t i) {
    const auto points = static_cast<double>(n);
    return std::sqrt((k == 0 ? 1 : 2) / points) *
           std::cos(M_PI * (static_cast<double>(i) + 0.5) * static_cast<double>(k) / points);
  };
  Vector result(x.size(), 0);
  for (std::size_t a = 0; a < x.size(); ++a)
    for (std::size_t b = 0; b < x.size(); ++b) {
      const std::size_t k = back ? b : a, i = back ? a : b;
      result[a] +=
          x[b] * basis(rows, k / columns, i / columns) * basis(columns, k % columns, i % columns);
    }
  return result;
}

TEST_F(DemoValues, MovesByTheSignOfWhatWasSent) {
  const std::size_t top = 3;
  Vector x = zero;
  std::vector<Vector> d(2, zero);
  for (std::int64_t s = 0; s < 10; ++s) {
    for (std::size_t i = 0; i < 2; ++i) d[i] = combine(0.9, d[i], kRate, problem.gradient(i, x, s));
    Vector moved = x;
    for (const ModelShape::Item& tensor : model.tensors) {
      const auto first = static_cast<std::size_t>(tensor.offset),
                 size = static_cast<std::size_t>(tensor.elements),
                 rows = static_cast<std::size_t>(tensor.rows);
      Vector sum(size, 0), senders(size, 0);
      for (Vector& own : d) {
        const auto part = own.begin() + static_cast<std::ptrdiff_t>(first);
        const Vector all =
            cosine_transform(Vector(part, part + static_cast<std::ptrdiff_t>(size)), rows, false);
        std::vector<std::size_t> order(size);
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
          return std::abs(all[a]) > std::abs(all[b]);
        });
        Vector sent(size, 0);
        for (std::size_t e = 0; e < top; ++e) {
          sent[order[e]] = all[order[e]];
          sum[order[e]] += all[order[e]];
          senders[order[e]] += 1;
        }
        const Vector gone = cosine_transform(sent, rows, true);
        for (std::size_t j = 0; j < size; ++j) own[first + j] -= gone[j];
      }
      for (std::size_t j = 0; j < size; ++j)
        if (senders[j] > 0) sum[j] /= senders[j];
      const Vector direction = cosine_transform(sum, rows, true);
      for (std::size_t j = 0; j < size; ++j)
        moved[first + j] -= kRate * static_cast<double>((direction[j] > 0) - (direction[j] < 0));
    }
    x = moved;
  }
  expect_near(trained("demo", {{"top", top}, {"decay", 0.9}}, 10, problem, model), x);
}

}  // namespace
}  // namespace paceline
