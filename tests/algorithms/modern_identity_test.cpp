// Schedules on reduce-scatter, all-gather, all-to-all and messages between workers: their times as recurrences written out
// here, their traffic, and their values on quadratics.

#include <gtest/gtest.h>

#include <numeric>

#include "algorithms/buckets.hpp"
#include "base/json.hpp"
#include "tests/algorithms/quadratics.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;

// Half of a ring's all-reduce: a reduce-scatter, or the gather of shares.
double half_s(const Star& star, double bytes) {
  return star.all_reduce_s(bytes) / 2;
}
double message_s(const Star& star, double bytes) {
  return star.alpha + bytes / star.bandwidth;
}

std::vector<ModelShape> models() {
  return {random_model(1, 7, 1e-4), random_model(2, 12, 1e-3), random_model(3, 5, 1e-2)};
}

// In forward order: bytes and passes of the groups that a schedule cuts the model into.
struct Group {
  double bytes = 0, forward_s = 0, backward_s = 0;
};
std::vector<Group> groups_of(const ModelShape& model, double bytes) {
  std::vector<Group> groups;
  for (const Bucket& bucket : buckets_by_size(model, bytes, bytes, 4)) {
    Group group;
    for (TensorId t = bucket.range.first; t <= bucket.range.last; ++t) {
      group.bytes += 4.0 * static_cast<double>(model.tensors[t].elements);
      group.forward_s += model.tensors[t].forward_s;
      group.backward_s += model.tensors[t].backward_s;
    }
    groups.insert(groups.begin(), group);
  }
  return groups;
}

// ---- times

TEST(ShardedIdentity, ZeroOfOneBucketTakesSSgdsTime) {
  for (const ModelShape& model : models())
    for (const int stage : {1, 2}) {
      const Star star;
      const double expected = compute_s(model) + star.all_reduce_s(model_bytes(model));
      const JobResult r = run("zero", {{"stage", stage}, {"bucket", "1GB"}}, model, star, 8);
      EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected);
      const double traffic = 2 * 3.0 / 4 * model_bytes(model);
      EXPECT_NEAR(r.sent_bytes, traffic, kTight * traffic);
    }
}

TEST(ShardedIdentity, ZeroReducesUnderBackward) {
  for (const ModelShape& model : models()) {
    const Star star;
    const std::vector<Group> groups = groups_of(model, 200e3);
    double computed = forward_s(model), wire = 0;
    for (std::size_t g = groups.size(); g-- > 0;) {
      computed += groups[g].backward_s;
      wire = std::max(wire, computed) + half_s(star, groups[g].bytes);
    }
    for (const Group& group : groups) wire += half_s(star, group.bytes);
    const JobResult r = run("zero", {{"bucket", "200kB"}}, model, star, 8);
    EXPECT_NEAR(r.iteration_time_s, wire, kTight * wire);
  }
}

// One wire, FIFO in the order of the calls: a gather is called for when the unit `ahead` + 1 before has ended.
double fsdp_s(const std::vector<Group>& units, const Star& star, std::size_t ahead, bool reshard) {
  const std::size_t n = units.size();
  double wire = 0, compute = 0;
  std::vector<double> gathered(n), ended(n);
  const auto gather = [&](std::size_t u, double called) {
    wire = std::max(wire, called) + half_s(star, units[u].bytes);
    gathered[u] = wire;
  };
  for (std::size_t u = 0; u <= std::min(ahead, n - 1); ++u) gather(u, 0);
  for (std::size_t u = 0; u < n; ++u) {
    compute = std::max(compute, gathered[u]) + units[u].forward_s;
    if (u + 1 + ahead < n) gather(u + 1 + ahead, compute);
  }
  if (reshard)
    for (std::size_t i = 0; i <= std::min(ahead, n - 1); ++i) gather(n - 1 - i, compute);
  for (std::size_t i = 0; i < n; ++i) {
    compute = std::max(compute, gathered[n - 1 - i]) + units[n - 1 - i].backward_s;
    if (reshard && i + 1 + ahead < n) gather(n - 1 - (i + 1 + ahead), compute);
    wire = std::max(wire, compute) + half_s(star, units[n - 1 - i].bytes);
  }
  return std::max(compute, wire);
}

TEST(ShardedIdentity, FsdpTakesItsRecurrence) {
  for (const ModelShape& model : models())
    for (const std::size_t ahead : {0U, 1U, 3U})
      for (const bool reshard : {true, false}) {
        const Star star;
        const double expected = fsdp_s(groups_of(model, 200e3), star, ahead, reshard);
        const JobResult r = run(
            "fsdp", {{"unit", "200kB"}, {"prefetch", ahead}, {"reshard_after_forward", reshard}},
            model, star, 8);
        EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected) << ahead << reshard;
      }
}

TEST(ShardedIdentity, FsdpSendsThreeTimesItsShareOfTheModel) {
  const ModelShape model = random_model(4, 9);
  for (const std::size_t workers : {2U, 4U, 8U})
    for (const bool reshard : {true, false}) {
      Star star;
      star.workers = workers;
      const auto n = static_cast<double>(workers);
      const double expected = (reshard ? 3 : 2) * model_bytes(model) * (n - 1) / n;
      const JobResult r =
          run("fsdp", {{"unit", "100kB"}, {"reshard_after_forward", reshard}}, model, star, 8);
      EXPECT_NEAR(r.sent_bytes, expected, kTight * expected);
    }
}

// Before group g: wait for its gather, start the next, run it; all reductions end before the next forward begins.
double dear_s(const std::vector<Group>& groups, const Star& star) {
  double gathered = half_s(star, groups[0].bytes), compute = 0, wire = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const double here =
        gathered;  // the wire is free again, and the program has waited for nothing else
    if (g + 1 < groups.size()) gathered = here + half_s(star, groups[g + 1].bytes);
    compute = std::max(compute, here) + groups[g].forward_s;
  }
  wire = gathered;
  for (std::size_t g = groups.size(); g-- > 0;) {
    compute += groups[g].backward_s;
    wire = std::max(wire, compute) + half_s(star, groups[g].bytes);
  }
  return wire;
}

TEST(ShardedIdentity, DearTakesItsRecurrence) {
  for (const ModelShape& model : models()) {
    const Star star;
    const double expected = dear_s(groups_of(model, 200e3), star);
    const JobResult r = run("dear", {{"group", "200kB"}}, model, star, 12);
    EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected);
  }
}

TEST(GossipIdentity, TakesOneMessageAStep) {
  for (const ModelShape& model : models()) {
    const Star star;
    const double c = compute_s(model), message = message_s(star, model_bytes(model));
    EXPECT_NEAR(run("sgp", Json::object(), model, star, 12).iteration_time_s, c + message,
                kTight * (c + message));
    // Two workers have one connection each way, on which a message waits for the last one.
    Star pair;
    pair.workers = 2;
    const double hidden = std::max(c, message), there_and_back = std::max(c, 2 * message);
    EXPECT_NEAR(run("sgp", {{"overlap", true}}, model, pair, 60).iteration_time_s, hidden,
                kTight * hidden);
    const JobResult pairs = run("ad-psgd", Json::object(), model, star, 40);
    EXPECT_NEAR(pairs.total_time_s, 40 * there_and_back, kTight * 40 * there_and_back);
    EXPECT_NEAR(pairs.total_bytes, 40 * model_bytes(model), kTight * 40 * model_bytes(model));
  }
}

TEST(LocalStepsIdentity, PeriodicAveragesTakeKStepsAndOneAllReduce) {
  for (const ModelShape& model : models())
    for (const int k : {1, 6})
      for (const char* name : {"vrl-sgd", "easgd", "slowmo"}) {
        const Star star;
        const double round = k * compute_s(model) + star.all_reduce_s(model_bytes(model));
        const JobResult r = run(name, {{"period", k}}, model, star, 4 * k);
        EXPECT_NEAR(r.iteration_time_s * k, round, kTight * round) << name;
        EXPECT_NEAR(r.rounds, 4, 1e-9) << name;
      }
}

TEST(LocalStepsIdentity, EagerDilocoHidesItsAverage) {
  for (const ModelShape& model : models())
    for (const int k : {1, 6}) {
      const Star star;
      const double round = std::max(k * compute_s(model), star.all_reduce_s(model_bytes(model)));
      const JobResult r = run("eager-diloco", {{"period", k}}, model, star, 8 * k);
      EXPECT_NEAR(r.iteration_time_s * k, round, kTight * round);
    }
}

TEST(CodedIdentity, OneBitGoesOutAndOneComesHome) {
  for (const ModelShape& model : models()) {
    const Star star;
    const double expected = compute_s(model) + 2 * half_s(star, model_bytes(model) / 32);
    EXPECT_NEAR(run("signsgd", Json::object(), model, star, 8).iteration_time_s, expected,
                kTight * expected);
    EXPECT_NEAR(run("1-bit-adam", {{"freeze_step", 3}}, model, star, 12).iteration_time_s, expected,
                kTight * expected);
  }
}

TEST(CodedIdentity, SparseLocoGathersItsEntries) {
  for (const ModelShape& model : models()) {
    const Star star;
    const auto n = static_cast<double>(model.elements);
    const double two_bits = 5 * compute_s(model) + star.all_gather_s(n * 0.03 * 14 / 8);
    EXPECT_NEAR(
        5 * run("sparseloco", {{"period", 5}, {"density", 0.03}}, model, star, 15).iteration_time_s,
        two_bits, kTight * two_bits);
    const double whole = 5 * compute_s(model) + star.all_gather_s(4 * n);
    const Json dense{{"period", 5}, {"density", 1}, {"values", "fp32"}};
    EXPECT_NEAR(5 * run("sparseloco", dense, model, star, 15).iteration_time_s, whole,
                kTight * whole);
  }
}

TEST(CodedIdentity, CltkBroadcastsAndReducesItsEntries) {
  for (const ModelShape& model : models()) {
    const Star star;
    const auto n = static_cast<double>(model.elements);
    const double k = std::round(0.01 * n), bytes = 4 * k;
    const double chain = 3 * star.alpha + (2 + 32.0) / 32 * bytes / star.bandwidth,
                 tree = 2 * message_s(star, bytes);
    const double expected =
        compute_s(model) + top_k_s(n) + std::min(chain, tree) + star.all_reduce_s(bytes);
    EXPECT_NEAR(run("cltk", {{"density", 0.01}}, model, star, 8).iteration_time_s, expected,
                kTight * expected);
  }
}

// ---- values

class ModernValues : public testing::Test {
 protected:
  const ModelShape model = small_model();
  const std::size_t n = static_cast<std::size_t>(model.elements);
  const Problem problem = Problem::random(n);
  const Vector zero = Vector(n, 0);

  [[nodiscard]] Vector local(std::size_t i, const Vector& x, std::int64_t step) const {
    return combine(1, x, -kRate, problem.gradient(i, x, step));
  }
  [[nodiscard]] Vector trained_by(const std::string& name, const Json& options,
                                  std::int64_t steps) const {
    return trained(name, options, steps, problem, model);
  }
};

TEST_F(ModernValues, ShardedSchedulesAreSSgdBitForBit) {
  const Vector expected = trained_by("s-sgd", {{"overlap", "none"}}, 9);
  for (const int stage : {1, 2})
    for (const char* bucket : {"40B", "1MB"})
      EXPECT_EQ(trained_by("zero", {{"stage", stage}, {"bucket", bucket}}, 9), expected);
  for (const char* unit : {"40B", "1MB"})
    for (const bool reshard : {true, false})
      for (const int ahead : {0, 1, 2})
        EXPECT_EQ(trained_by(
                      "fsdp",
                      {{"unit", unit}, {"reshard_after_forward", reshard}, {"prefetch", ahead}}, 9),
                  expected);
  for (const char* group : {"40B", "1MB"})
    EXPECT_EQ(trained_by("dear", {{"group", group}}, 9), expected);
}

// Of two workers each is the other's only peer: half of both is the mean of all.
TEST_F(ModernValues, GossipBetweenTwoIsTheirMean) {
  expect_near(trained_by("sgp", Json::object(), 9), trained_by("local-sgd", {{"period", 1}}, 9));
}

// What is pushed is added a step later: x of both, and their common weight, step by step.
TEST_F(ModernValues, SgpWithOverlapIsOneStepLate) {
  std::vector<Vector> x(2, zero), z(2, zero), late(2, zero);
  double weight = 1, late_weight = 0;
  for (std::int64_t s = 0; s < 12; ++s) {
    std::vector<Vector> pushed(2);
    for (std::size_t i = 0; i < 2; ++i) {
      x[i] = combine(0.5, combine(1, x[i], -kRate, problem.gradient(i, z[i], s)), 0, zero);
      pushed[1 - i] = x[i];
    }
    weight /= 2;
    const double sent = weight;
    for (std::size_t i = 0; i < 2; ++i) x[i] = combine(1, x[i], 1, late[i]);
    weight += late_weight;
    late = pushed;
    late_weight = sent;
    for (std::size_t i = 0; i < 2; ++i) z[i] = combine(1 / weight, x[i], 0, zero);
    EXPECT_NEAR(weight + late_weight, 1, 1e-12);  // nothing is lost
  }
  expect_near(trained_by("sgp", {{"overlap", true}}, 12), mean(z));
}

// Pairwise averages keep the mean: with equal slopes, and so gradients that are linear alike, it moves as S-SGD's model.
TEST_F(ModernValues, GossipKeepsTheMean) {
  Problem even = problem;
  even.slope = {1.2, 1.2};
  Vector x = zero;
  for (std::int64_t s = 0; s < 15; ++s)
    x = combine(1, x, -kRate, mean({even.gradient(0, x, s), even.gradient(1, x, s)}));
  for (const char* name : {"ad-psgd", "sgp"})
    expect_near(trained(name, Json::object(), 15, even, model), x);
}

TEST_F(ModernValues, VrlSgdCorrectsTheDrift) {
  std::vector<Vector> x(2, zero), drift(2, zero);
  for (std::int64_t s = 0; s < 12; s += 3) {
    for (std::int64_t t = s; t < s + 3; ++t)
      for (std::size_t i = 0; i < 2; ++i) x[i] = combine(1, local(i, x[i], t), kRate, drift[i]);
    const Vector average = mean(x);
    for (std::size_t i = 0; i < 2; ++i)
      drift[i] = combine(1, drift[i], 1 / (3 * kRate), combine(1, average, -1, x[i]));
    for (const double sum : combine(1, drift[0], 1, drift[1])) EXPECT_NEAR(sum, 0, 1e-12);
    x.assign(2, average);
  }
  expect_near(trained_by("vrl-sgd", {{"period", 3}}, 12), x[0]);
  // With one step a round the corrections cancel in the mean: S-SGD.
  expect_near(trained_by("vrl-sgd", {{"period", 1}}, 12),
              trained_by("s-sgd", {{"overlap", "none"}}, 12));
}

TEST_F(ModernValues, EasgdKeepsTheSumOfModelsAndCentre) {
  std::vector<Vector> x(2, zero);
  Vector center = zero;
  const double beta = 0.8, alpha = beta / 2;
  for (std::int64_t s = 0; s < 12; s += 3) {
    for (std::int64_t t = s; t < s + 3; ++t)
      for (std::size_t i = 0; i < 2; ++i) x[i] = local(i, x[i], t);
    const Vector average = mean(x), before = center;
    for (Vector& own : x) own = combine(1 - alpha, own, alpha, before);
    center = combine(1 - beta, before, beta, average);
    for (std::size_t j = 0; j < n; ++j)
      EXPECT_NEAR(x[0][j] + x[1][j] + center[j], 2 * average[j] + before[j], 1e-12);
  }
  expect_near(trained_by("easgd", {{"period", 3}, {"beta", beta}}, 12), mean(x));
}

TEST_F(ModernValues, SlowMo) {
  expect_near(trained_by("slowmo", {{"period", 4}, {"slow_momentum", 0}}, 12),
              trained_by("local-sgd", {{"period", 4}}, 12));
  Vector old = zero, u = zero;
  for (std::int64_t s = 0; s < 12; s += 4) {
    std::vector<Vector> x(2, old);
    for (std::int64_t t = s; t < s + 4; ++t)
      for (std::size_t i = 0; i < 2; ++i) x[i] = local(i, x[i], t);
    u = combine(0.6, u, 1 / kRate, combine(1, old, -1, mean(x)));
    old = combine(1, old, -0.9 * kRate, u);
  }
  expect_near(trained_by("slowmo", {{"period", 4}, {"slow_momentum", 0.6}, {"slow_rate", 0.9}}, 12),
              old);
}

TEST_F(ModernValues, EagerDiloco) {
  std::vector<Vector> anchor(2, zero), u(2, zero), before(2, zero);
  for (std::int64_t s = 0; s < 12; s += 3) {
    std::vector<Vector> moved(2);
    for (std::size_t i = 0; i < 2; ++i) {
      Vector x = anchor[i];
      for (std::int64_t t = s; t < s + 3; ++t) x = local(i, x, t);
      moved[i] = combine(1, anchor[i], -1, x);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const Vector delta = combine(0.5, moved[i], 0.5, before[1 - i]);
      u[i] = combine(0.9, u[i], 1, delta);
      anchor[i] = combine(1, anchor[i], -0.3, combine(1, delta, 0.9, u[i]));
    }
    before = moved;
  }
  expect_near(trained_by("eager-diloco", {{"period", 3}, {"outer_rate", 0.3}}, 12), mean(anchor));
}

TEST_F(ModernValues, SparseLocoOfEverythingIsDilocoWithoutMomentum) {
  const Json dense{{"period", 3}, {"density", 1}, {"values", "fp32"}, {"outer_rate", 0.7}};
  EXPECT_EQ(trained_by("sparseloco", dense, 12),
            trained_by("diloco", {{"period", 3}, {"outer_rate", 0.7}, {"outer_momentum", 0}}, 12));
}

// What is not sent waits in the error: it ends near where everything sent does.
TEST_F(ModernValues, SparseLocoFeedsItsErrorBack) {
  const Vector few = trained_by("sparseloco", {{"period", 2}, {"density", 0.2}, {"decay", 1}}, 200);
  const Vector all = trained_by(
      "sparseloco", {{"period", 2}, {"density", 1}, {"values", "fp32"}, {"decay", 1}}, 200);
  double distance = 0, size = 0;
  for (std::size_t j = 0; j < n; ++j) {
    distance += std::pow(few[j] - all[j], 2);
    size += all[j] * all[j];
  }
  EXPECT_LT(distance, 0.1 * size);
  EXPECT_GT(distance, 0);
}

TEST_F(ModernValues, SignSgdAppliesTheMajority) {
  const auto sign = [](double x) { return static_cast<double>((x > 0) - (x < 0)); };
  Vector x = zero;
  for (std::int64_t s = 0; s < 9; ++s) {
    const Vector a = problem.gradient(0, x, s), b = problem.gradient(1, x, s);
    for (std::size_t j = 0; j < n; ++j) x[j] -= kRate * sign(sign(a[j]) + sign(b[j]));
  }
  expect_near(trained_by("signsgd", Json::object(), 9), x);
}

TEST_F(ModernValues, CltkSendsWhereItsLeaderSays) {
  Vector x = zero;
  std::vector<Vector> left(2, zero);
  for (std::int64_t s = 0; s < 12; ++s) {
    std::vector<Vector> sent(2, zero);
    for (std::size_t i = 0; i < 2; ++i) left[i] = combine(1, left[i], 1, problem.gradient(i, x, s));
    const Vector& leader = left[static_cast<std::size_t>(s) % 2];
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::abs(leader[a]) > std::abs(leader[b]);
    });
    order.resize(15);  // 0.2 of 73
    for (std::size_t i = 0; i < 2; ++i)
      for (const std::size_t j : order) {
        sent[i][j] = left[i][j];
        if (i == 1) left[0][j] = left[1][j] = 0;
      }
    x = combine(1, x, -kRate, mean(sent));
  }
  expect_near(trained_by("cltk", {{"density", 0.2}}, 12), x);
}

// Adam's first steps, then one bit: error feedback at both ends, the variance frozen.
TEST_F(ModernValues, OneBitAdam) {
  const auto compress = [](Vector x, Vector& error) {
    double square = 0;
    for (std::size_t j = 0; j < x.size(); ++j) square += std::pow(x[j] += error[j], 2);
    const double scale = std::sqrt(square / static_cast<double>(x.size()));
    Vector sent(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) {
      sent[j] = x[j] < 0 ? -scale : scale;
      error[j] = x[j] - sent[j];
    }
    return sent;
  };
  const std::size_t border = n / 2;  // shares of two workers
  Vector x = zero, m = zero, v = zero;
  std::vector<Vector> error(2, zero), share_error{Vector(border, 0), Vector(n - border, 0)};
  for (std::int64_t s = 0; s < 10; ++s) {
    const std::vector<Vector> g{problem.gradient(0, x, s), problem.gradient(1, x, s)};
    if (s < 6) {
      const Vector average = mean(g);
      for (std::size_t j = 0; j < n; ++j) {
        m[j] = 0.9 * m[j] + 0.1 * average[j];
        v[j] = 0.999 * v[j] + 0.001 * average[j] * average[j];
      }
    } else {
      std::vector<Vector> sent(2);
      for (std::size_t i = 0; i < 2; ++i) sent[i] = compress(combine(0.9, m, 0.1, g[i]), error[i]);
      const Vector average = mean(sent);
      const Vector low = compress({average.begin(), average.begin() + border}, share_error[0]),
                   high = compress({average.begin() + border, average.end()}, share_error[1]);
      std::copy(low.begin(), low.end(), m.begin());
      std::copy(high.begin(), high.end(), m.begin() + static_cast<std::ptrdiff_t>(border));
    }
    for (std::size_t j = 0; j < n; ++j) x[j] -= kRate * m[j] / (std::sqrt(v[j]) + 0.5);
  }
  expect_near(trained_by("1-bit-adam", {{"freeze_step", 6}, {"epsilon", 0.5}}, 10), x);
}

}  // namespace
}  // namespace paceline
