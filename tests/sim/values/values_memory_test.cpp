// What a run with values keeps in memory does not grow with its steps, and is what the schedule
// needs.
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/json.hpp"
#include "tests/sim/values/regression.hpp"

namespace {

std::atomic<std::int64_t> live{0}, peak{0};

void* counted(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  const std::int64_t now = live += static_cast<std::int64_t>(malloc_usable_size(memory));
  std::int64_t most = peak;
  while (now > most && !peak.compare_exchange_weak(most, now)) {
  }
  return memory;
}

void uncounted(void* memory) {
  live -= static_cast<std::int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
// Else std::stable_sort takes memory from AddressSanitizer's and gives it back to ours.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  try {
    return counted(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept {
  uncounted(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  uncounted(memory);
}

namespace paceline {
namespace {

// loss = |w|^2 / 2: costs nothing and keeps nothing.
class Bowl final : public ValueEngine {
 public:
  explicit Bowl(const ModelShape& model) : model_(model) {}
  std::unique_ptr<WorkerEngine> make_worker(std::size_t) override {
    return std::make_unique<BowlWorker>(model_);
  }
  [[nodiscard]] std::vector<float> initial_parameters() const override {
    return std::vector<float>(static_cast<std::size_t>(model_.elements), 1.0F);
  }
  Evaluation evaluate(std::span<const float>, std::span<const float>) override { return {}; }
  void update(kernels::Backend&, double rate, std::span<const float> gradient, std::span<float>,
              std::span<float> weights) const override {
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] -= static_cast<float>(rate) * gradient[i];
  }
  [[nodiscard]] double momentum() const override { return 0; }

 private:
  class BowlWorker final : public WorkerEngine {
   public:
    explicit BowlWorker(const ModelShape& model) : model_(model) {}
    void load(std::int64_t, std::int64_t) override {}
    void forward(std::uint32_t, std::uint32_t, std::span<const float> weights,
                 std::int64_t) override {
      loss_ = weights[0] * weights[0];
    }
    void backward(std::uint32_t from, std::uint32_t to, std::span<const float> weights,
                  std::span<float> gradient) override {
      for (std::uint32_t p = from; p < to; ++p) {
        const ModelShape::Item& item = model_.tensors[model_.backward_order[p]];
        std::copy_n(weights.begin() + item.offset, item.elements, gradient.begin() + item.offset);
      }
    }
    [[nodiscard]] float loss() const override { return loss_; }
    [[nodiscard]] std::int64_t state_elements() const override { return 0; }
    void read_state(std::span<float>) const override {}
    void write_state(std::span<const float>) override {}

   private:
    const ModelShape& model_;
    float loss_ = 0;
  };
  const ModelShape& model_;
};

constexpr std::int64_t kElements = 30'000;  // of the model, in three tensors
constexpr std::size_t kWorkers = 4;

// The most that is alive at a time, in models (4 bytes per element).
double peak_models(const std::string& schedule, const Json& options, std::size_t servers,
                   std::int64_t steps, std::size_t threads) {
  Training t;
  t.schedule = schedule;
  t.options = options;
  t.workers = kWorkers;
  t.servers = servers;
  t.steps = steps;
  t.values = false;
  t.model = uniform_model(3, kElements / 3, 5e-4, 1e-3);
  const auto cluster = build(star_spec(kWorkers + servers, 1e9, 1e-5));
  JobSpec job = job_of(t);
  for (std::size_t s = 0; s < servers; ++s) job.servers.push_back(cluster->host_of(kWorkers + s));
  const ModelShape model = t.model;
  job.values = std::make_shared<Bowl>(model);
  job.evaluate_every = 7;
  SimulationSpec simulation;
  simulation.cluster = cluster;
  simulation.jobs = {std::move(job)};
  simulation.fidelity = Fidelity::closed;
  simulation.threads = threads;
  const std::int64_t before = live;
  peak = before;
  simulate(simulation);
  EXPECT_LT(live - before, 100'000) << "left behind";
  return static_cast<double>(peak - before) / 4 / kElements;
}

struct Case {
  std::string name;
  Json options = Json::object();
  std::size_t servers = 0;
  double models_per_worker = 0;  ///< what it may keep, the one of the start included
};

// Weights, two gradients (one may be on the wire), and what stands once for all workers: the model
// of the start, a mean, an evaluation. Then what the schedule itself keeps, and the results of its
// arithmetic.
std::vector<Case> cases() {
  const Json none = Json::object();
  const double base = 4.3;
  return {{"s-sgd", {{"overlap", "none"}}, 0, base},
          {"s-sgd", {{"overlap", "wfbp"}}, 0, base},
          {"local-sgd", {{"period", 3}}, 0, base},
          {"pipe-sgd", none, 0, base},
          {"cocod-sgd", {{"period", 3}}, 0, base + 1},
          {"slgs-sgd", {{"density", 0.01}}, 0, base + 3},
          {"lags-sgd", {{"density", 0.01}}, 0, base + 3},
          {"gtop-k", {{"density", 0.01}}, 0, base + 4},
          {"dgc", {{"density", 0.01}}, 0, base + 2},
          {"priority-sgd", none, 0, base},
          {"power-sgd", none, 0, base + 3},
          {"overlap-local-sgd", none, 0, base + 3},
          {"stl-sgd", {{"period", 3}}, 0, base},
          {"diloco", {{"period", 3}}, 0, base + 3},
          {"streaming-diloco", {{"period", 6}}, 0, base + 3},
          {"zero", none, 0, base + 1},
          {"fsdp", {{"unit", "40kB"}}, 0, base + 1},
          {"dear", {{"group", "40kB"}}, 0, base + 1},
          {"acco", none, 0, base + 3},
          {"sgp", none, 0, base + 2},
          {"vrl-sgd", {{"period", 3}}, 0, base + 3},
          {"easgd", {{"period", 3}}, 0, base + 3},
          {"slowmo", {{"period", 3}}, 0, base + 3},
          {"eager-diloco", {{"period", 3}}, 0, base + 4},
          {"sparseloco", {{"period", 3}}, 0, base + 5},
          {"signsgd", none, 0, base + 2},
          {"1-bit-adam", {{"freeze_step", 5}}, 0, base + 6},
          {"demo", none, 0, base + 5},
          {"cltk", {{"density", 0.01}}, 0, base + 3},
          {"ps-s-sgd", none, 2, base},
          {"asgd", none, 2, base},
          {"dc-asgd", none, 1, base},
          {"od-sgd", {{"warm_up", 2}}, 1, base + 1},
          {"cd-sgd", {{"warm_up", 2}}, 1, base + 2}};
}

TEST(ValuesMemory, DoesNotGrowWithTheSteps) {
  for (const Case& c : cases()) {
    const double few = peak_models(c.name, c.options, c.servers, 42, 0);
    const double many = peak_models(c.name, c.options, c.servers, 210, 0);
    // A loss per worker and step, a date per step, the durations of iterations: up to 80 bytes.
    // With compression also what is measured of each of 3 layers in every 7th step: up to 150 more.
    const double bytes_per_step = (many - few) * 4 * kElements / (210 - 42);
    EXPECT_LT(bytes_per_step, 250) << c.name;  // a model is 120,000
    EXPECT_LT(many, kWorkers * c.models_per_worker) << c.name;
    if (std::getenv("PRINT")) printf("%-20s %.2f\n", c.name.c_str(), many / kWorkers);
  }
}

TEST(ValuesMemory, IsBoundedWithThreadsToo) {
  // The simulation runs ahead of the values, but what waits to be computed holds no memory yet.
  // Workers may be a step apart: then an evaluation still keeps older weights, and a sample of the
  // compression what was sent and its residual.
  for (const Case& c : cases()) {
    const double models = peak_models(c.name, c.options, c.servers, 150, 2) / kWorkers;
    EXPECT_LT(models, c.models_per_worker + 5) << c.name;
    if (std::getenv("PRINT")) printf("threads %-20s %.2f\n", c.name.c_str(), models);
  }
}

}  // namespace
}  // namespace paceline
