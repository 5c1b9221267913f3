#include "calibrate/measure/batch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/statistics.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "models/network/execution.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;

// The steps of one batch size, piece by piece or whole.
class Stepper {
 public:
  Stepper(const Model& model, kernels::Backend& backend, std::int64_t batch,
          const MeasureOptions& options)
      : model_(model),
        backend_(backend),
        execution_(plan_network(model, batch), backend),
        trainee_(model, backend, batch, options),
        forward_(steps()),
        backward_(steps()) {
    for (const NetworkLoss& loss : execution_.plan().losses)
      backend.write(std::array{static_cast<float>(loss.weight), 0.0f},
                    execution_.gradient(loss.gradient));
  }

  double whole(bool keep) {
    const Sample iteration = take_sample(backend_, [&] {
      load();
      execution_.forward(0, steps(), weights(), true, trainee_.seed());
      execution_.backward(0, steps(), weights(), trainee_.gradient().data());
    });
    const Sample update = take_sample(backend_, [&] { trainee_.update(); });
    if (keep) iteration_.push_back(iteration), update_.push_back(update);
    return iteration.seconds;
  }

  void by_layer() {
    load_.push_back(take_sample(backend_, [&] { load(); }));
    const std::uint64_t seed = trainee_.seed();
    for (std::size_t i = 0; i < steps(); ++i)
      forward_[i].push_back(
          take_sample(backend_, [&] { execution_.forward(i, i + 1, weights(), true, seed); }));
    for (std::size_t i = 0; i < steps(); ++i)
      backward_[steps() - 1 - i].push_back(take_sample(
          backend_, [&] { execution_.backward(i, i + 1, weights(), trainee_.gradient().data()); }));
    update_.push_back(take_sample(backend_, [&] { trainee_.update(); }));
  }

  [[nodiscard]] BatchTimes times(std::int64_t batch) const {
    BatchTimes times;
    times.batch = batch;
    times.iteration = summarize(iteration_).timing;
    times.input_pipeline_s = summarize(load_, least()).timing.median_s;
    std::vector<Timing> forward, backward;
    for (std::size_t i = 0; i < steps(); ++i) {
      forward.push_back(summarize(forward_[i], least()).timing);
      backward.push_back(execution_.plan().steps[i].backward
                             ? summarize(backward_[i], least()).timing
                             : Timing{0, 0, 0});
    }
    times.layers = layers_of(model_, execution_.plan(), forward, backward);
    times.closure_ratio =
        (times.input_pipeline_s + sum_of(times.layers)) / times.iteration->median_s;
    return times;
  }

  [[nodiscard]] Json record(std::int64_t batch, bool warm) const {
    const SampleSummary iteration = summarize(iteration_);
    return {{"rounds", iteration_.size()},
            {"warm", warm},
            {"iterations_kept", iteration.kept},
            {"iterations_dropped_for_lost_core", iteration.dropped},
            {"iteration_clock", iteration.cpu_time ? "thread CPU time" : "wall"},
            {"iteration_seconds", iteration.timing.median_s},
            {"update_seconds", update_seconds()},
            {"layers", layer_records(model_, execution_.plan(), batch, kept_samples())}};
  }

  [[nodiscard]] const std::vector<Sample>& iterations() const { return iteration_; }
  [[nodiscard]] double update_seconds() const { return summarize(update_).timing.median_s; }

 private:
  [[nodiscard]] std::size_t steps() const { return execution_.plan().steps.size(); }
  // One clock for all: on a busy machine short pieces often find the core undisturbed, with warm
  // caches, and a whole iteration never.
  [[nodiscard]] int least() const {
    return summarize(iteration_).cpu_time ? std::numeric_limits<int>::max() : 5;
  }
  [[nodiscard]] StepSamples kept_samples() const {
    StepSamples kept{{}, std::vector<std::vector<double>>(steps())};
    for (std::size_t i = 0; i < steps(); ++i) {
      kept.forward.push_back(summarize(forward_[i], least()).seconds);
      if (execution_.plan().steps[i].backward)
        kept.backward[i] = summarize(backward_[i], least()).seconds;
    }
    return kept;
  }
  [[nodiscard]] const float* weights() { return trainee_.weights().data(); }
  void load() {
    const Batch& batch = trainee_.next();
    backend_.write(batch.inputs, execution_.value(execution_.plan().input));
    backend_.write(batch.labels, execution_.value(execution_.plan().labels));
  }

  const Model& model_;
  kernels::Backend& backend_;
  Execution<float, kernels::Backend> execution_;
  Trainee trainee_;
  std::vector<Sample> iteration_, update_, load_;
  std::vector<std::vector<Sample>> forward_, backward_;
};

// Returns whether the warm-up rule was met in time.
bool warm_up(Stepper& stepper, const MeasureOptions& options) {
  WarmUp rule;
  const auto start = Clock::now();
  bool warm = false;
  do {
    warm = rule.done(stepper.whole(false));
  } while (!warm && seconds_since(start) < options.warm_up_seconds && !stopped(options));
  return warm;
}

// Returns whether enough rounds were taken.
bool sample(Stepper& stepper, const MeasureOptions& options,
            const std::function<void(double)>& progress) {
  const auto start = Clock::now();
  for (int round = 0; round < options.most_rounds; ++round) {
    const double share = seconds_since(start) / options.seconds;
    if (round >= options.least_rounds &&
        (share >= 1 || standard_error(stepper.iterations()) < options.standard_error ||
         stopped(options)))
      break;
    if (stopped(options)) return false;
    stepper.by_layer();
    stepper.whole(true);
    progress(std::min(1.0, std::max(share, round / double(options.most_rounds))));
  }
  return true;
}

void add(Timing& sum, const Timing& term) {
  sum.median_s += term.median_s;
  *sum.p25_s += *term.p25_s;
  *sum.p75_s += *term.p75_s;
}

}  // namespace

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

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<LayerTimes> layers_of(const Model& model, const NetworkPlan& plan,
                                  const std::vector<Timing>& forward,
                                  const std::vector<Timing>& backward) {
  std::vector<LayerTimes> layers;
  for (const std::size_t operation : timed_operations(model)) {
    Timing ahead{0, 0, 0}, back{0, 0, 0};
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      if (plan.steps[i].operation != operation) continue;
      add(ahead, forward[i]);
      add(back, backward[i]);
    }
    layers.push_back({model.operations()[operation].name, ahead, back, {}});
  }
  return layers;
}

double sum_of(const std::vector<LayerTimes>& layers) {
  double sum = 0;
  for (const LayerTimes& layer : layers)
    sum += layer.forward.median_s + layer.backward_data.median_s;
  return sum;
}

Json summary_of(const std::vector<double>& seconds) {
  return {{"n", seconds.size()},           {"median", median(seconds)},
          {"p25", quantile(seconds, .25)}, {"p75", quantile(seconds, .75)},
          {"p05", quantile(seconds, .05)}, {"p95", quantile(seconds, .95)},
          {"least", quantile(seconds, 0)}};
}

Json layer_records(const Model& model, const NetworkPlan& plan, std::int64_t batch,
                   const StepSamples& samples) {
  const auto size = static_cast<double>(batch);
  Json rows = Json::array();
  for (const std::size_t index : timed_operations(model)) {
    const Operation& operation = model.operations()[index];
    Json row{{"name", operation.name},
             {"kind", to_string(operation.kind())},
             {"output", operation.output_shape},
             {"parameters", operation.parameter_elements()},
             {"forward_flops", size * operation.forward_flops},
             {"forward_least_bytes", size * operation.forward_bytes + operation.parameter_bytes}};
    if (operation.needs_gradient) {
      row["backward_flops"] =
          size * (operation.backward_data_flops + operation.backward_weight_flops);
      row["backward_least_bytes"] =
          size * operation.backward_bytes + operation.parameter_bytes + operation.gradient_bytes;
    }
    // Steps of one operation (rare) one below the other, as they were timed.
    const auto add = [&](const char* pass, const std::vector<double>& seconds) {
      if (!seconds.empty()) row[pass].push_back(summary_of(seconds));
    };
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      if (plan.steps[i].operation != index) continue;
      add("forward", samples.forward[i]);
      add("backward", samples.backward[i]);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<MeasuredBatch> measure_batch(const Model& model, kernels::Backend& backend,
                                           std::int64_t batch, const MeasureOptions& options,
                                           const std::function<void(double)>& report) {
  Stepper stepper(model, backend, batch, options);
  const bool warm = warm_up(stepper, options);
  if (!sample(stepper, options, report)) return {};
  return MeasuredBatch{stepper.times(batch), stepper.record(batch, warm), stepper.update_seconds()};
}

}  // namespace paceline
