#include <algorithm>
#include <cmath>
#include <random>

#include "base/statistics.hpp"
#include "calibrate/measure/batch.hpp"
#include "models/network/network.hpp"

namespace paceline {

Trainee::Trainee(const Model& model, kernels::Backend& backend, std::int64_t batch,
                 const MeasureOptions& options)
    : backend_(backend), options_(options), batch_size_(batch) {
  const std::vector<float> start = initial_parameters(model, options.seed);
  for (auto* array : {&weights_, &gradient_, &velocity_})
    *array = kernels::Array<float>(backend, start.size());
  backend.copy_from_host(weights_.data(), start.data(), start.size() * sizeof(float));
  backend.fill(0, velocity_);
  backend.synchronize();
  if (!options.next_batch) batch_ = random_batch(model, batch, options.seed);
}

const Batch& Trainee::next() {
  if (options_.next_batch) options_.next_batch(batch_size_, step_, batch_);
  ++step_;
  return batch_;
}

bool WarmUp::done(double seconds) {
  seen_.push_back(seconds);
  const double now = median(seen_);
  steady_ = std::abs(now / last_ - 1) < 0.01 ? steady_ + 1 : 0;
  last_ = now;
  return steady_ >= 10;
}

double standard_error(const std::vector<Sample>& samples) {
  const SampleSummary summary = summarize(samples);
  const double sigma = (*summary.timing.p75_s - *summary.timing.p25_s) / 1.349;
  return 1.253 * sigma / std::sqrt(double(summary.kept)) / summary.timing.median_s;
}

bool stopped(const MeasureOptions& options) {
  return options.stop != nullptr && options.stop->load();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Batch random_batch(const Model& model, std::int64_t batch, std::uint64_t seed) {
  const NetworkPlan plan = plan_network(model, batch);
  std::mt19937_64 random(seed);
  const auto count = [&](std::size_t value) {
    return static_cast<std::size_t>(kernels::elements(plan.values[value]));
  };
  const auto uniform = [&](std::vector<float>& values, std::int64_t below) {
    std::uniform_int_distribution<std::int64_t> number(0, below - 1);
    for (float& value : values) value = static_cast<float>(number(random));
  };
  Batch result{std::vector<float>(count(plan.input)), std::vector<float>(count(plan.labels))};
  const auto input = std::find_if(model.operations().begin(), model.operations().end(),
                                  [](const Operation& op) { return op.is<InputOp>(); });
  if (const auto entries = std::get<InputOp>(input->attributes).entries; entries > 0) {
    uniform(result.inputs, entries);
  } else {
    std::normal_distribution<float> normal;
    for (float& value : result.inputs) value = normal(random);
  }
  uniform(result.labels, std::max<std::int64_t>(model.classes(), 1));
  return result;
}

}  // namespace paceline
