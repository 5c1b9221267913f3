#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "sim/values/value_engine.hpp"
#include "tests/algorithms/simulated.hpp"

// Training on real values that a test can follow by hand: every worker minimises a quadratic of its
// own.
namespace paceline::simulated {

using Vector = std::vector<double>;

constexpr double kRate = 0.2;
constexpr std::size_t kWorkers = 2;

/// Tensors of 48 (6 x 8), 5 and 20 (4 x 5) elements.
inline ModelShape small_model() {
  ModelShape model;
  const std::int64_t rows[] = {6, 1, 4}, elements[] = {48, 5, 20};
  for (std::size_t i = 0; i < 3; ++i) {
    ModelShape::Item item{"layer", elements[i], model.elements, 1e-3, 2e-3};
    item.rows = rows[i];
    model.elements += elements[i];
    model.tensors.push_back(item);
  }
  model.backward_order = {2, 1, 0};
  return model;
}

inline Vector mean(const std::vector<Vector>& all) {
  Vector sum(all.front().size(), 0);
  for (const Vector& one : all)
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += one[j] / static_cast<double>(all.size());
  return sum;
}

/// a x + b y
inline Vector combine(double a, const Vector& x, double b, const Vector& y) {
  Vector sum(x.size());
  for (std::size_t j = 0; j < x.size(); ++j) sum[j] = a * x[j] + b * y[j];
  return sum;
}

inline void expect_near(const Vector& found, const Vector& expected, double tolerance = 2e-5) {
  ASSERT_EQ(found.size(), expected.size());
  double distance = 0, size = 0;
  for (std::size_t j = 0; j < found.size(); ++j) {
    distance = std::max(distance, std::abs(found[j] - expected[j]));
    size = std::max(size, std::abs(expected[j]));
  }
  EXPECT_GT(size, 0.1);
  EXPECT_LT(distance, tolerance * size);
}

/// One worker's gradient of one step is not a number: one element of it, or all.
struct Fault {
  std::size_t rank = 0;
  std::int64_t step = 0;
  std::optional<std::size_t> element = {};
};

/// g_i(x) = slope_i (x - target_i) + noise(step)
struct Problem {
  Vector slope{1.0, 1.4};
  std::vector<Vector> target;
  double noise = 0.05;
  std::optional<Fault> fault = {};

  static Problem random(std::size_t n) {
    Problem p;
    std::mt19937 random(5);
    std::normal_distribution<double> normal;
    for (std::size_t i = 0; i < kWorkers; ++i) {
      p.target.emplace_back(n);
      for (double& t : p.target.back()) t = normal(random);
    }
    return p;
  }
  [[nodiscard]] double gradient(std::size_t rank, std::size_t j, double x,
                                std::int64_t step) const {
    if (fault && fault->rank == rank && fault->step == step && fault->element.value_or(j) == j)
      return std::numeric_limits<double>::quiet_NaN();
    return slope[rank] * (x - target[rank][j]) +
           noise * std::sin(1.7 * static_cast<double>(step) + static_cast<double>(j + rank));
  }
  [[nodiscard]] Vector gradient(std::size_t rank, const Vector& x, std::int64_t step) const {
    Vector g(x.size());
    for (std::size_t j = 0; j < x.size(); ++j) g[j] = gradient(rank, j, x[j], step);
    return g;
  }
};

class QuadraticWorker final : public WorkerEngine {
 public:
  /// `backend`: for operations on vectors; null: the host's.
  QuadraticWorker(const Problem& problem, const ModelShape& model, std::size_t rank,
                  kernels::Backend* backend)
      : problem_(problem), model_(model), rank_(rank), backend_(backend) {}
  void load(std::int64_t step, std::int64_t) override { step_ = step; }
  void forward(std::uint32_t from, std::uint32_t to, std::span<const float> x,
               std::int64_t) override {
    if (from == 0) loss_ = 0;
    for (std::uint32_t t = from; t < to; ++t)
      for (const std::size_t j : elements(t))
        loss_ += problem_.slope[rank_] / 2 * std::pow(x[j] - problem_.target[rank_][j], 2);
  }
  void backward(std::uint32_t from, std::uint32_t to, std::span<const float> x,
                std::span<float> g) override {
    for (std::uint32_t position = from; position < to; ++position)
      for (const std::size_t j : elements(model_.backward_order[position]))
        g[j] = static_cast<float>(problem_.gradient(rank_, j, x[j], step_));
  }
  [[nodiscard]] float loss() const override { return static_cast<float>(loss_); }
  [[nodiscard]] std::int64_t state_elements() const override { return 0; }
  void read_state(std::span<float>) const override {}
  void write_state(std::span<const float>) override {}
  [[nodiscard]] kernels::Backend& backend() override {
    return backend_ != nullptr ? *backend_ : host_backend();
  }

 private:
  [[nodiscard]] std::vector<std::size_t> elements(TensorId t) const {
    std::vector<std::size_t> all(static_cast<std::size_t>(model_.tensors[t].elements));
    std::iota(all.begin(), all.end(), static_cast<std::size_t>(model_.tensors[t].offset));
    return all;
  }

  const Problem& problem_;
  const ModelShape& model_;
  std::size_t rank_;
  kernels::Backend* backend_;
  std::int64_t step_ = 0;
  double loss_ = 0;
};

class Quadratics final : public ValueEngine {
 public:
  Quadratics(const Problem& problem, const ModelShape& model, kernels::Backend* backend = nullptr)
      : problem_(problem), model_(model), backend_(backend) {}
  std::unique_ptr<WorkerEngine> make_worker(std::size_t rank) override {
    return std::make_unique<QuadraticWorker>(problem_, model_, rank, backend_);
  }
  [[nodiscard]] std::vector<float> initial_parameters() const override {
    return std::vector<float>(static_cast<std::size_t>(model_.elements), 0.0F);
  }
  Evaluation evaluate(std::span<const float> x, std::span<const float>) override {
    last.assign(x.begin(), x.end());
    return {};
  }
  void update(kernels::Backend&, double rate, std::span<const float> g, std::span<float>,
              std::span<float> x) const override {
    for (std::size_t j = 0; j < x.size(); ++j) x[j] -= static_cast<float>(rate) * g[j];
  }
  [[nodiscard]] double momentum() const override { return 0; }
  Vector last;  ///< mean of the workers' models after the last step, or what the servers hold

 private:
  const Problem& problem_;
  const ModelShape& model_;
  kernels::Backend* backend_;
};

/// A run that trains, over the last node's host as server if the schedule has one.
inline JobResult train(const std::string& name, const Json& options, std::int64_t steps,
                       const ModelShape& model, const std::shared_ptr<ValueEngine>& engine,
                       Recorder* recorder = nullptr) {
  Star star;
  star.workers = kWorkers + 1;
  const auto cluster = star.cluster();
  JobSpec spec;
  spec.model = model;
  spec.costs = free_operations();
  spec.selector = Selector::radix_select;
  spec.steps = steps;
  for (std::size_t i = 0; i < kWorkers; ++i) spec.gpus.push_back(static_cast<Endpoint>(i));
  ObjectReader reader(options, "test", "$.schedule.options");
  spec.schedule = find_schedule(name).make(reader, {&model, 1});
  if (spec.schedule.server) spec.servers = {cluster->host_of(kWorkers)};
  spec.values = engine;
  spec.optimizer = Optimizer::sgd;
  spec.learning_rate = [](std::int64_t) { return kRate; };
  SimulationSpec simulation;
  simulation.cluster = cluster;
  simulation.jobs = {spec};
  simulation.fidelity = Fidelity::closed;
  simulation.extrapolate = false;
  return simulate(simulation, recorder).jobs.front();
}

inline Vector trained(const std::string& name, const Json& options, std::int64_t steps,
                      const Problem& problem, const ModelShape& model) {
  auto engine = std::make_shared<Quadratics>(problem, model);
  train(name, options, steps, model, engine);
  return engine->last;
}

}  // namespace paceline::simulated
