#include "calibrate/measure/batch.hpp"
#include "models/network/network.hpp"

namespace paceline {

TrainingLoopTime time_training_loop(const Model& model, kernels::Backend& backend,
                                    std::int64_t batch, const MeasureOptions& options) {
  Network network(model, backend, batch);
  Trainee trainee(model, backend, batch, options);
  const auto step = [&] {
    network.load(trainee.next());
    network.forward(0, network.tensors(), trainee.weights(), true, trainee.seed());
    network.backward(0, network.tensors(), trainee.weights(), trainee.gradient());
    trainee.update();
  };
  WarmUp rule;
  auto start = std::chrono::steady_clock::now();
  while (!rule.done(backend.measure(step)) && seconds_since(start) < options.warm_up_seconds) {
  }
  std::vector<Sample> samples;
  for (start = std::chrono::steady_clock::now();
       static_cast<int>(samples.size()) < options.most_rounds;) {
    const int taken = static_cast<int>(samples.size());
    if (taken >= options.least_rounds &&
        (seconds_since(start) > options.seconds || stopped(options) ||
         standard_error(samples) < options.standard_error))
      break;
    samples.push_back(take_sample(backend, step));
  }
  const SampleSummary summary = summarize(samples);
  return {summary.timing, static_cast<int>(samples.size()), summary.dropped, summary.cpu_time};
}

}  // namespace paceline
