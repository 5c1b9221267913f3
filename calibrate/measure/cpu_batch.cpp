// How a CPU is timed: a stopwatch around each layer and around whole iterations, in turns.
#include <algorithm>
#include <array>
#include <limits>

#include "base/json.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/stopwatch.hpp"
#include "models/network/execution.hpp"

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

}  // namespace

std::optional<MeasuredBatch> measure_batch(const Model& model, kernels::Backend& backend,
                                           std::int64_t batch, const MeasureOptions& options,
                                           const std::function<void(double)>& report) {
  Stepper stepper(model, backend, batch, options);
  const bool warm = warm_up(stepper, options);
  if (!sample(stepper, options, report)) return {};
  return MeasuredBatch{stepper.times(batch), stepper.record(batch, warm), stepper.update_seconds()};
}

}  // namespace paceline
