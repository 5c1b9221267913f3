// Effective staleness, residuals and LAGS' delta against hand computations on recorded gradients.
#include <algorithm>
#include <numeric>

#include "base/json.hpp"
#include "tests/sim/values/regression.hpp"

namespace paceline {
namespace {

TrainingLog log_of(const std::string& schedule, const Json& options, std::size_t servers = 0) {
  Training t;
  t.schedule = schedule;
  t.options = options;
  t.servers = servers;
  t.steps = 20;
  return train(t).job.training;
}

TEST(Staleness, SynchronousAndLocalSchedulesHaveNone) {
  const std::vector<std::pair<std::string, std::size_t>> schedules{
      {"s-sgd", 0}, {"local-sgd", 0}, {"cocod-sgd", 0}, {"power-sgd", 0}, {"ps-s-sgd", 2}};
  for (const auto& [name, servers] : schedules) {
    const TrainingLog log = log_of(name, Json::object(), servers);
    EXPECT_EQ(log.staleness, 0.0) << name;
    EXPECT_EQ(log.most_stale, 0) << name;
  }
}

TEST(Staleness, PipeSgdIsOneUpdateLate) {
  // g_0 goes into the weights it was computed at, since step 0 updates nothing; 18 more are late.
  const TrainingLog log = log_of("pipe-sgd", Json::object());
  EXPECT_EQ(log.most_stale, 1);
  EXPECT_NEAR(*log.staleness, 18.0 / 19, 1e-12);
}

TEST(Staleness, OdSgdIsOneVersionLateAfterItsWarmUp) {
  // The first gradient after the warm-up is still computed at the newest weights.
  const TrainingLog log = log_of("od-sgd", {{"warm_up", 5}, {"local_rate", 0.05}}, 1);
  EXPECT_EQ(log.most_stale, 1);
  EXPECT_NEAR(*log.staleness, 14.0 / 20, 1e-12);
}

TEST(Staleness, AsgdMissesTheOtherWorkers) {
  // Four equal workers push together and pull a message later, when all four updates are made: of
  // their next gradients the server has seen 0, 1, 2 and 3 before.
  const TrainingLog log = log_of("asgd", Json::object(), 1);
  EXPECT_EQ(log.most_stale, 3);
  EXPECT_NEAR(*log.staleness, (0.0 + 1 + 2 + 3) / 4, 1e-12);
}

TEST(Staleness, AsgdInHalfPrecisionMissesThemToo) {
  // What is rounded on its way is still of the same version.
  Training t;
  t.schedule = "asgd";
  t.servers = 1;
  t.steps = 20;
  t.payload_bits = 16;
  EXPECT_GT(train(t).job.training.staleness.value_or(0), 1);
}

TEST(Staleness, OneAsgdWorkerMissesNothing) {
  Training t;
  t.schedule = "asgd";
  t.servers = 1;
  t.workers = 1;
  EXPECT_EQ(train(t).job.training.staleness, 0.0);
}

std::vector<double> top(const std::vector<double>& a, std::size_t k) {
  std::vector<std::size_t> order(a.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return std::abs(a[i]) > std::abs(a[j]); });
  std::vector<double> kept(a.size());
  for (std::size_t i = 0; i < k; ++i) kept[order[i]] = a[order[i]];
  return kept;
}

double square(const std::vector<double>& x) {
  return std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
}

TEST(Compression, OfSlgsSgdFromItsGradients) {
  Training t;
  t.schedule = "slgs-sgd";
  t.options = {{"density", 0.1}};
  t.steps = 6;
  t.evaluate_every = 2;
  t.skew = 0.5;
  const Trained trained = train(t);
  const std::vector<CompressionSample>& samples = trained.job.training.compression;
  ASSERT_EQ(samples.size(), 3U);
  const std::size_t d = 71, k = 7;
  std::vector<std::vector<double>> eps(t.workers, std::vector<double>(d));
  for (std::size_t step = 0; step < 6; ++step) {
    std::vector<double> all(d), left_out(d);
    double squares = 0, error = 0;
    for (std::size_t p = 0; p < t.workers; ++p) {
      std::vector<double> a = eps[p];
      for (std::size_t i = 0; i < d; ++i)
        a[i] += 0.05 * static_cast<double>(trained.computed.gradient[p][step][i]);
      const std::vector<double> sent = top(a, k);
      for (std::size_t i = 0; i < d; ++i) {
        eps[p][i] = a[i] - sent[i];
        all[i] += a[i];
        left_out[i] += eps[p][i];
      }
      squares += square(eps[p]) / 4;
      error += square(eps[p]) / square(a) / 4;
    }
    if (step % 2 == 0) continue;
    const CompressionSample& sample = samples[step / 2];
    EXPECT_EQ(sample.step, static_cast<std::int64_t>(step) + 1);
    EXPECT_EQ(sample.elements, 71);
    EXPECT_EQ(sample.label, "the whole model");
    EXPECT_EQ(sample.selected, 7);
    EXPECT_NEAR(sample.residual_norm, std::sqrt(squares), 1e-5 * std::sqrt(squares));
    EXPECT_NEAR(sample.error, error, 1e-5);
    EXPECT_NEAR(*sample.delta, square(left_out) / ((1 - 7.0 / 71) * square(all)), 1e-5);
  }
}

TEST(Compression, OfLagsSgdIsPerLayerAndOfEverythingIsNone) {
  Training t;
  t.schedule = "lags-sgd";
  t.options = {{"density", 0.5}, {"grouping", "none"}};
  t.steps = 4;
  const std::vector<CompressionSample> samples = train(t).job.training.compression;
  ASSERT_EQ(samples.size(), t.model.tensors.size());  // of the last step
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].label, t.model.tensors[i].name);
    EXPECT_GT(*samples[i].delta, 0);
    EXPECT_LT(*samples[i].delta, 1.5);
  }
  t.options["density"] = 1;
  for (const CompressionSample& sample : train(t).job.training.compression) {
    EXPECT_EQ(*sample.delta, 0);
    EXPECT_EQ(sample.error, 0);
  }
}

TEST(Compression, OfOtherSchedulesHasNoDelta) {
  Training t;
  t.schedule = "power-sgd";
  t.options = {{"rank", 1}};
  const std::vector<CompressionSample> low = train(t).job.training.compression;
  ASSERT_EQ(low.size(), 1U);
  EXPECT_FALSE(low[0].delta);
  EXPECT_GT(low[0].error, 0);
  t.schedule = "cd-sgd";
  t.servers = 1;
  t.options = {{"warm_up", 2}, {"local_rate", 0.05}, {"threshold", 0.2}};
  for (const CompressionSample& sample : train(t).job.training.compression) {
    EXPECT_GT(sample.residual_norm, 0);
    EXPECT_FALSE(sample.delta);
  }
  t.schedule = "s-sgd";
  t.options = Json::object();
  EXPECT_TRUE(train(t).job.training.compression.empty());
}

TEST(Metrics, DoNotDependOnThreads) {
  Training t;
  t.schedule = "lags-sgd";
  t.options = {{"density", 0.2}, {"threshold", 30}, {"error_feedback", "raw"}};
  t.evaluate_every = 3;
  const TrainingLog none = train(t).job.training;
  t.threads = 8;
  const TrainingLog many = train(t).job.training;
  EXPECT_EQ(none.staleness, many.staleness);
  ASSERT_EQ(none.compression.size(), many.compression.size());
  for (std::size_t i = 0; i < none.compression.size(); ++i) {
    EXPECT_EQ(none.compression[i].delta, many.compression[i].delta);
    EXPECT_EQ(none.compression[i].residual_norm, many.compression[i].residual_norm);
  }
}

}  // namespace
}  // namespace paceline
