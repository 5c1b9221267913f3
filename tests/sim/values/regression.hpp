#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/registry.hpp"
#include "base/json.hpp"
#include "sim/values/value_engine.hpp"
#include "tests/sim/scenario.hpp"

// Training with real values that can be checked by hand: linear regression, cut into tensors, with
// everything recorded that the workers compute.
namespace paceline {

/// A number in [-1, 1) that depends on the arguments alone.
inline double noise(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15ULL + b * 0xbf58476d1ce4e5b9ULL + 0x94d049bb133111ebULL;
  for (int i = 0; i < 3; ++i) x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ULL;
  return static_cast<double>(x >> 11) * 0x1p-52 - 1;
}

/// What the workers computed, [rank][step], filled by their strands (each its own entries).
struct Computed {
  using PerStep = std::vector<std::vector<float>>;
  std::vector<PerStep> weights;   ///< at which each tensor's part of the forward pass was computed
  std::vector<PerStep> gradient;  ///< of the step
  std::vector<std::vector<float>> evaluated;  ///< weights of each evaluation
};

struct RegressionOptions {
  std::size_t workers = 1;
  std::int64_t batch = 4, micro_batches = 1, steps = 1;
  double momentum = 0, weight_decay = 0;
  double skew =
      0;  ///< labels of each worker are shifted by up to this: not identically distributed
  std::size_t failing_rank = 1000;  ///< its loss and gradient turn into NaN ...
  std::int64_t failing_step = 0;    ///< ... from this step on
  bool throws = false;              ///< ... or it throws
};

/// loss = mean over samples of (x . w - y)^2 / 2. Sample j of `rank`'s micro-batch m in `step` is
/// number ((step * micros + m) * workers + rank) * batch + j of one stream: N workers of batch B, B
/// a times, and one worker of batch a N B see the same samples in a step.
class Regression final : public ValueEngine {
 public:
  Regression(const ModelShape& model, RegressionOptions options)
      : model_(model), options_(options) {
    const auto steps = static_cast<std::size_t>(options.steps);
    computed.weights.assign(options.workers, Computed::PerStep(steps, zeros()));
    computed.gradient = computed.weights;
  }
  Computed computed;

  [[nodiscard]] std::unique_ptr<WorkerEngine> make_worker(std::size_t rank) override {
    return std::make_unique<RegressionWorker>(*this, rank);
  }
  [[nodiscard]] std::vector<float> initial_parameters() const override {
    std::vector<float> w = zeros();
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(noise(3, i));
    return w;
  }
  Evaluation evaluate(std::span<const float> weights, std::span<const float> state) override {
    EXPECT_EQ(state.size(), 1U);
    computed.evaluated.emplace_back(weights.begin(), weights.end());
    computed.evaluated.back().push_back(state[0]);
    Evaluation result;
    for (std::uint64_t s = 0; s < 100; ++s) {
      double error = -label(1'000'000 + s);
      for (std::size_t i = 0; i < weights.size(); ++i)
        error += feature(1'000'000 + s, i) * static_cast<double>(weights[i]);
      result.loss += error * error / 200;
    }
    return result;
  }
  void update(kernels::Backend&, double rate, std::span<const float> gradient,
              std::span<float> velocity, std::span<float> weights) const override {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      float d = gradient[i] + static_cast<float>(options_.weight_decay) * weights[i];
      if (!velocity.empty())
        d = velocity[i] = static_cast<float>(options_.momentum) * velocity[i] + d;
      weights[i] -= static_cast<float>(rate) * d;
    }
  }
  [[nodiscard]] double momentum() const override { return options_.momentum; }
  [[nodiscard]] std::int64_t micro_batches() const override { return options_.micro_batches; }

 private:
  [[nodiscard]] std::vector<float> zeros() const {
    return std::vector<float>(static_cast<std::size_t>(model_.elements));
  }
  [[nodiscard]] double feature(std::uint64_t sample, std::size_t i) const {
    return noise(sample + 7, i);
  }
  [[nodiscard]] double label(std::uint64_t sample) const {
    double y = 0.1 * noise(5, sample);
    for (std::size_t i = 0; i < static_cast<std::size_t>(model_.elements); ++i)
      y += feature(sample, i) * noise(11, i) * 2;
    return y;
  }

  class RegressionWorker final : public WorkerEngine {
   public:
    RegressionWorker(Regression& owner, std::size_t rank)
        : owner_(owner), rank_(rank), error_(static_cast<std::size_t>(owner.options_.batch)) {}

    void load(std::int64_t step, std::int64_t micro) override {
      const RegressionOptions& o = owner_.options_;
      step_ = step;
      first_ = static_cast<std::uint64_t>(
          ((step * o.micro_batches + micro) * static_cast<std::int64_t>(o.workers) +
           static_cast<std::int64_t>(rank_)) *
          o.batch);
      for (std::size_t j = 0; j < error_.size(); ++j)
        error_[j] = -owner_.label(first_ + j) - o.skew * noise(13, rank_);
      next_ = 0;
    }
    void forward(std::uint32_t from, std::uint32_t to, std::span<const float> weights,
                 std::int64_t step) override {
      EXPECT_EQ(step, step_);
      EXPECT_EQ(from, next_) << "pieces of a pass follow each other";
      next_ = to;
      for (std::uint32_t t = from; t < to; ++t)
        for (std::size_t i = begin(t); i < end(t); ++i) {
          own(owner_.computed.weights)[i] = weights[i];
          for (std::size_t j = 0; j < error_.size(); ++j)
            error_[j] += owner_.feature(first_ + j, i) * static_cast<double>(weights[i]);
        }
      if (next_ == owner_.model_.tensors.size()) finish();
    }
    void backward(std::uint32_t from, std::uint32_t to, std::span<const float>,
                  std::span<float> gradient) override {
      for (std::uint32_t p = from; p < to; ++p) {
        const TensorId t = owner_.model_.backward_order[p];
        for (std::size_t i = begin(t); i < end(t); ++i) {
          double sum = 0;
          for (std::size_t j = 0; j < error_.size(); ++j)
            sum += error_[j] * owner_.feature(first_ + j, i);
          gradient[i] = static_cast<float>(sum / static_cast<double>(error_.size()));
          own(owner_.computed.gradient)[i] = gradient[i];
        }
      }
    }
    [[nodiscard]] float loss() const override { return loss_; }
    // The number of passes so far: lives from step to step.
    [[nodiscard]] std::int64_t state_elements() const override { return 1; }
    void read_state(std::span<float> state) const override { state[0] = passes_; }
    void write_state(std::span<const float> state) override { passes_ = state[0]; }

   private:
    void finish() {
      const RegressionOptions& o = owner_.options_;
      if (rank_ == o.failing_rank && step_ >= o.failing_step) {
        if (o.throws) throw std::runtime_error("the engine failed");
        error_[0] = std::numeric_limits<double>::quiet_NaN();
      }
      double sum = 0;
      for (const double error : error_) sum += error * error;
      loss_ = static_cast<float>(sum / 2 / static_cast<double>(error_.size()));
      passes_ += 1;
    }
    std::vector<float>& own(std::vector<Computed::PerStep>& log) {
      return log[rank_][static_cast<std::size_t>(step_)];
    }
    [[nodiscard]] std::size_t begin(TensorId t) const {
      return static_cast<std::size_t>(owner_.model_.tensors[t].offset);
    }
    [[nodiscard]] std::size_t end(TensorId t) const {
      return begin(t) + static_cast<std::size_t>(owner_.model_.tensors[t].elements);
    }

    Regression& owner_;
    std::size_t rank_;
    std::vector<double> error_;  // x . w - y, as far as the forward pass has come
    std::int64_t step_ = 0;
    std::uint64_t first_ = 0;
    std::uint32_t next_ = 0;
    float loss_ = 0, passes_ = 0;
  };

  ModelShape model_;
  RegressionOptions options_;
};

/// Six tensors, 71 elements; two of them matrices. A step computes for 9 ms.
inline ModelShape small_model() {
  ModelShape model;
  for (const std::int64_t elements : {20, 4, 24, 6, 12, 5}) add_tensor(model, elements, 5e-4, 1e-3);
  model.tensors[0].rows = 4;
  model.tensors[2].rows = 6;
  return model;
}

/// One training run of a schedule.
struct Training {
  std::string schedule = "s-sgd";
  Json options = Json::object();
  std::size_t workers = 4;
  std::int64_t batch = 4, micro_batches = 1, steps = 12;
  std::size_t servers = 0;
  double momentum = 0, weight_decay = 0, skew = 0;
  double payload_bits = 32;
  std::function<double(std::int64_t)> rate = [](std::int64_t) { return 0.05; };
  std::int64_t evaluate_every = 0;
  std::vector<double> weights;
  Fidelity fidelity = Fidelity::closed;
  AllReduce algorithm = AllReduce::ring;
  std::size_t threads = 0;
  double latency = 4e-4;  ///< of a link: messages take as long as layers
  double bandwidth = 1e6;
  ModelShape model = small_model();
  bool values = true;
  std::size_t failing_rank = 1000;
  std::int64_t failing_step = 0;
  bool throws = false;
  std::function<Program(Worker&)> program;  ///< instead of a schedule of the registry
  std::vector<Straggler> stragglers;
  Selector selector = Selector::radix_select;
  std::optional<CheckpointOptions> checkpoints;
};

struct Trained {
  Computed computed;
  JobResult job;
  SimulationResult simulation;

  [[nodiscard]] std::vector<double> losses() const {
    std::vector<double> all;
    for (const LossPoint& step : job.training.steps) all.push_back(step.loss);
    return all;
  }
  /// Weights at the end (mean of the workers, or the servers').
  [[nodiscard]] std::vector<float> final_weights() const {
    std::vector<float> w = computed.evaluated.back();
    w.pop_back();
    return w;
  }
  /// Every number of the training, to be compared bit for bit.
  [[nodiscard]] std::vector<double> bits() const {
    std::vector<double> all = losses();
    for (const std::vector<Computed::PerStep>* log : {&computed.weights, &computed.gradient})
      for (const Computed::PerStep& steps : *log)
        for (const std::vector<float>& step : steps)
          all.insert(all.end(), step.begin(), step.end());
    const std::vector<float> last = final_weights();
    all.insert(all.end(), last.begin(), last.end());
    return all;
  }
};

inline JobSpec job_of(const Training& t, std::shared_ptr<Regression>* engine = nullptr) {
  JobSpec job = make_job(t.model, first_gpus(t.workers), t.steps, t.program);
  if (!t.program) {
    const ScheduleContext context{&job.model, t.servers};
    ObjectReader reader(t.options, "test");
    job.schedule = find_schedule(t.schedule).make(reader, context);
  }
  job.accumulation = t.micro_batches;
  job.weights = t.weights;
  job.all_reduce.algorithm = t.algorithm;
  job.optimizer = t.momentum > 0 ? Optimizer::momentum : Optimizer::sgd;
  job.payload_bits = t.payload_bits;
  job.selector = t.selector;
  job.learning_rate = t.rate;
  if (!t.values) return job;
  RegressionOptions o;
  o.workers = t.workers;
  o.batch = t.batch;
  o.micro_batches = t.micro_batches;
  o.steps = t.steps;
  o.momentum = t.momentum;
  o.weight_decay = t.weight_decay;
  o.skew = t.skew;
  o.failing_rank = t.failing_rank;
  o.failing_step = t.failing_step;
  o.throws = t.throws;
  auto made = std::make_shared<Regression>(t.model, o);
  if (engine != nullptr) *engine = made;
  job.values = made;
  job.evaluate_every = t.evaluate_every;
  return job;
}

inline Trained train(const Training& t) {
  ClusterSpec spec = star_spec(t.workers + t.servers, t.bandwidth, t.latency);
  spec.stragglers = t.stragglers;
  const auto cluster = build(spec);
  Trained trained;
  std::shared_ptr<Regression> engine;
  JobSpec job = job_of(t, &engine);
  for (std::size_t s = 0; s < t.servers; ++s)
    job.servers.push_back(cluster->host_of(t.workers + s));
  SimulationSpec simulation;
  simulation.cluster = cluster;
  simulation.jobs = {std::move(job)};
  simulation.fidelity = t.fidelity;
  simulation.threads = t.threads;
  simulation.extrapolate = false;
  simulation.checkpoints = t.checkpoints;
  trained.simulation = simulate(simulation);
  trained.job = trained.simulation.jobs.front();
  if (engine) trained.computed = std::move(engine->computed);
  return trained;
}

/// |a - b| <= tolerance * (1 + |b|), element by element.
template <class X, class Y>
::testing::AssertionResult all_near(const std::vector<X>& a, const std::vector<Y>& b,
                                    double tolerance) {
  if (a.size() != b.size())
    return ::testing::AssertionFailure() << a.size() << " values instead of " << b.size();
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    if (!(std::abs(x - y) <= tolerance * (1 + std::abs(y))))
      return ::testing::AssertionFailure()
             << std::setprecision(9) << "[" << i << "]: " << x << " instead of " << y;
  }
  return ::testing::AssertionSuccess();
}

/// Mean over the workers of log[rank][step].
inline std::vector<double> mean_of(const std::vector<Computed::PerStep>& log, std::size_t step,
                                   const std::vector<double>& weights = {}) {
  std::vector<double> mean(log.front()[step].size());
  for (std::size_t rank = 0; rank < log.size(); ++rank)
    for (std::size_t i = 0; i < mean.size(); ++i)
      mean[i] += (weights.empty() ? 1.0 / static_cast<double>(log.size()) : weights[rank]) *
                 static_cast<double>(log[rank][step][i]);
  return mean;
}

}  // namespace paceline
