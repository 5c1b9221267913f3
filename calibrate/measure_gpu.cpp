// How a GPU is timed: replays of CUDA graphs, so that the host's launching is apart from the
// device's work.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>

#include "calibrate/analytic.hpp"
#include "calibrate/measure_batch.hpp"
#include "calibrate/measure_gpu.hpp"
#include "calibrate/statistics.hpp"
#include "calibrate/step_costs.hpp"
#include "models/network/execution.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;
using kernels::CudaBackend;

Timing timing_of(const std::vector<double>& seconds) {
  const Quartiles q = quartiles(seconds);
  return {q.median, q.p25, q.p75};
}

Json summary_of(const std::vector<double>& seconds) {
  return {{"n", seconds.size()},           {"median", median(seconds)},
          {"p25", quantile(seconds, .25)}, {"p75", quantile(seconds, .75)},
          {"p05", quantile(seconds, .05)}, {"p95", quantile(seconds, .95)},
          {"least", quantile(seconds, 0)}};
}

// The clock under load, as the samples saw it.
Json clocks_of(const std::vector<int>& sm_mhz, const kernels::CudaClocks& after) {
  Json json{{"celsius_after", after.celsius},
            {"watts_after", after.watts},
            {"memory_mhz_after", after.memory_mhz}};
  if (!sm_mhz.empty()) {
    const std::vector<double> mhz(sm_mhz.begin(), sm_mhz.end());
    json["sm_mhz"] = median(mhz);
    json["sm_mhz_least"] = quantile(mhz, 0);
  }
  return json;
}

// One layer with sets of activations and parameters of its own, to be used in turn.
class RotatedLayer {
 public:
  RotatedLayer(CudaBackend& gpu, const kernels::LayerShape& shape) : layer_(gpu.make_layer(shape)) {
    const std::vector<kernels::Dims> inputs = kernels::input_dims(shape),
                                     parameters = kernels::parameter_dims(shape);
    const kernels::Dims output = kernels::output_dims(shape);
    double bytes = 8.0 * static_cast<double>(kernels::elements(output));
    for (const auto* group : {&inputs, &parameters})
      for (const kernels::Dims& dims : *group)
        bytes += 8.0 * static_cast<double>(kernels::elements(dims));
    const auto count = static_cast<std::size_t>(rotation(gpu, bytes));
    bytes_ = bytes * static_cast<double>(count);
    state_ = kernels::Array<float>(
        gpu, static_cast<std::size_t>(std::max<std::int64_t>(kernels::state_elements(shape), 1)));
    if (const std::vector<float> start = kernels::initial_state(shape); !start.empty())
      gpu.copy_from_host(state_.data(), start.data(), start.size() * sizeof(float));
    for (std::size_t s = 0; s < count; ++s) {
      Set& set = sets_.emplace_back();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        set.inputs.push_back(activation(gpu, inputs[i], values_below(shape, i)));
        // Tokens and labels have no gradient.
        set.input_gradients.push_back(values_below(shape, i) > 0 ? nullptr
                                                                 : gpu.make_activation(inputs[i]));
      }
      set.output = gpu.make_activation(output);
      set.output_gradient = activation(gpu, output, 0);
      for (const kernels::Dims& dims : parameters) {
        const std::vector<float> values = noise(kernels::elements(dims), 0);
        kernels::Array<float>& array = set.parameters.emplace_back(gpu, values.size());
        gpu.copy_from_host(array.data(), values.data(), values.size() * sizeof(float));
        set.gradients.emplace_back(gpu, values.size());
      }
      gpu.synchronize();
    }
  }

  void forward(std::size_t s) {
    Set& set = sets_[s];
    std::vector<const kernels::Activation*> inputs;
    for (const auto& input : set.inputs) inputs.push_back(input.get());
    const std::vector<const float*> parameters = pointers<const float>(set.parameters);
    layer_->forward({.inputs = inputs,
                     .output = *set.output,
                     .parameters = parameters,
                     .state = state_.data(),
                     .training = true,
                     .seed = 1});
  }
  void backward(std::size_t s) {
    Set& set = sets_[s];
    std::vector<const kernels::Activation*> inputs;
    std::vector<kernels::Activation*> input_gradients;
    for (const auto& input : set.inputs) inputs.push_back(input.get());
    for (const auto& gradient : set.input_gradients) input_gradients.push_back(gradient.get());
    const std::vector<const float*> parameters = pointers<const float>(set.parameters);
    const std::vector<float*> gradients = pointers<float>(set.gradients);
    layer_->backward({.inputs = inputs,
                      .output = *set.output,
                      .output_gradient = *set.output_gradient,
                      .parameters = parameters,
                      .input_gradients = input_gradients,
                      .parameter_gradients = gradients});
  }
  [[nodiscard]] int sets() const { return static_cast<int>(sets_.size()); }
  [[nodiscard]] double bytes() const { return bytes_; }

 private:
  struct Set {
    std::vector<std::unique_ptr<kernels::Activation>> inputs, input_gradients;
    std::unique_ptr<kernels::Activation> output, output_gradient;
    std::vector<kernels::Array<float>> parameters, gradients;
  };

  template <class T>
  static std::vector<T*> pointers(const std::vector<kernels::Array<float>>& arrays) {
    std::vector<T*> result;
    for (const auto& array : arrays) result.push_back(array.data());
    return result;
  }
  // Tokens and labels are whole numbers below this; 0: normal values.
  static std::int64_t values_below(const kernels::LayerShape& shape, std::size_t input) {
    if (const auto* embedding = std::get_if<kernels::EmbeddingShape>(&shape))
      return embedding->entries;
    const auto* loss = std::get_if<kernels::SoftmaxLossShape>(&shape);
    return loss != nullptr && input == 1 ? loss->classes : 0;
  }
  std::vector<float> noise(std::int64_t n, std::int64_t below) {
    std::vector<float> values(static_cast<std::size_t>(n));
    if (below > 0) {
      std::uniform_int_distribution<std::int64_t> number(0, below - 1);
      for (float& value : values) value = static_cast<float>(number(random_));
    } else {
      std::uniform_real_distribution<float> number(-1, 1);
      for (float& value : values) value = number(random_);
    }
    return values;
  }
  std::unique_ptr<kernels::Activation> activation(CudaBackend& gpu, const kernels::Dims& dims,
                                                  std::int64_t below) {
    auto result = gpu.make_activation(dims);
    gpu.write(noise(kernels::elements(dims), below), *result);
    gpu.synchronize();  // the noise is gone after this
    return result;
  }

  std::minstd_rand random_{1};
  std::unique_ptr<kernels::Layer> layer_;
  double bytes_ = 0;
  kernels::Array<float> state_;
  std::vector<Set> sets_;
};

// Every different layer of the network alone: `cold` over rotating buffers, `hot` on the same one.
Json time_operators(const Model& model, CudaBackend& gpu, const NetworkPlan& plan,
                    const MeasureOptions& options, const std::function<void(double)>& report) {
  Json rows = Json::array();
  std::vector<kernels::LayerShape> seen;
  const auto measure = [&](const NetworkStep& step) -> Json {
    RotatedLayer layer(gpu, step.shape);
    const auto time = [&](int sets, void (RotatedLayer::*pass)(std::size_t)) {
      const kernels::ReplayOptions replays{.buffers = sets,
                                           .sample_seconds = 1e-3,
                                           .samples = 15,
                                           .warm_up_seconds = 0.15,
                                           .limit_seconds = 2};
      return summary_of(
          gpu.time_replays(replays, [&](int s) { (layer.*pass)(static_cast<std::size_t>(s)); })
              .seconds);
    };
    Json row{{"buffers", layer.sets()},
             {"bytes", layer.bytes()},
             {"forward_cold", time(layer.sets(), &RotatedLayer::forward)},
             {"forward_hot", time(1, &RotatedLayer::forward)}};
    if (!step.backward) return row;
    row["backward_cold"] = time(layer.sets(), &RotatedLayer::backward);
    row["backward_hot"] = time(1, &RotatedLayer::backward);
    return row;
  };
  for (std::size_t i = 0; i < plan.steps.size() && !stopped(options); ++i) {
    const NetworkStep& step = plan.steps[i];
    report(double(i) / double(plan.steps.size()));
    if (std::find(seen.begin(), seen.end(), step.shape) != seen.end()) continue;
    seen.push_back(step.shape);
    Json row{{"layer", model.operations()[step.operation].name},
             {"kind", kernels::layer_name(step.shape)}};
    try {
      row.update(measure(step));
    } catch (const std::runtime_error& error) {  // no memory for a second network, say
      row["error"] = error.what();
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// Seconds of `work` and of waiting for it, by the host's clock.
std::vector<double> time_eager(CudaBackend& gpu, const MeasureOptions& options,
                               const std::function<void()>& work) {
  std::vector<double> seconds;
  WarmUp rule;
  bool warm = false;
  auto start = Clock::now();
  while (static_cast<int>(seconds.size()) < options.least_rounds ||
         (seconds_since(start) < options.seconds / 10 &&
          static_cast<int>(seconds.size()) < options.most_rounds)) {
    gpu.synchronize();
    const auto before = Clock::now();
    work();
    gpu.synchronize();
    const double taken = seconds_since(before);
    if (warm) {
      seconds.push_back(taken);
    } else if (rule.done(taken) || seconds_since(start) > options.warm_up_seconds) {
      warm = true;
      start = Clock::now();
    }
  }
  return seconds;
}

}  // namespace

int rotation(const kernels::CudaBackend& gpu, double bytes) {
  const double l2 = static_cast<double>(gpu.device().l2_bytes);
  const double room = static_cast<double>(gpu.device().memory_bytes) / 4;
  return static_cast<int>(
      std::max(1.0, std::min({64.0, std::floor(2 * l2 / bytes) + 1, std::floor(room / bytes)})));
}

std::optional<MeasuredBatch> measure_batch_on_gpu(const Model& model, CudaBackend& gpu,
                                                  std::int64_t batch, const MeasureOptions& options,
                                                  const std::function<void(double)>& report) {
  Execution<float, kernels::Backend> execution(plan_network(model, batch), gpu);
  const NetworkPlan& plan = execution.plan();
  Trainee trainee(model, gpu, batch, options);
  for (const NetworkLoss& loss : plan.losses)
    gpu.write(std::array{static_cast<float>(loss.weight), 0.0f}, execution.gradient(loss.gradient));
  const std::size_t steps = plan.steps.size();
  const float* weights = trainee.weights().data();
  const auto load = [&] {
    const Batch& samples = trainee.next();
    gpu.write(samples.inputs, execution.value(plan.input));
    gpu.write(samples.labels, execution.value(plan.labels));
  };
  const auto forward = [&](std::size_t from, std::size_t to) {
    execution.forward(from, to, weights, true, 1);
  };
  const auto backward = [&](std::size_t from, std::size_t to) {
    execution.backward(from, to, weights, trainee.gradient().data());
  };
  const auto whole = [&] {
    forward(0, steps);
    backward(0, steps);
  };
  const kernels::ReplayOptions replays{.samples = 60,
                                       .warm_up_seconds = options.warm_up_seconds,
                                       .limit_seconds = options.seconds / 4};
  load();
  whole();  // loads modules, picks algorithms, grows scratch memory
  gpu.synchronize();
  report(0.05);

  // Iteration and layers take turns, so that both meet the same clocks.
  std::vector<double> iteration;
  std::vector<std::vector<double>> pieces(2 * steps);
  std::vector<int> sm_mhz;
  Json record = Json::object();
  int dropped = 0, per_replay = 0;
  bool warm = true;
  constexpr int kTurns = 2;
  for (int turn = 0; turn < kTurns; ++turn) {
    const kernels::ReplaySamples graph = gpu.time_replays(replays, [&](int) { whole(); });
    const kernels::PieceSamples parts = gpu.time_pieces(replays, 2 * steps, [&](std::size_t p) {
      p < steps ? forward(p, p + 1) : backward(p - steps, p - steps + 1);
    });
    iteration.insert(iteration.end(), graph.seconds.begin(), graph.seconds.end());
    for (std::size_t p = 0; p < pieces.size(); ++p)
      pieces[p].insert(pieces[p].end(), parts.seconds[p].begin(), parts.seconds[p].end());
    sm_mhz.insert(sm_mhz.end(), graph.sm_mhz.begin(), graph.sm_mhz.end());
    sm_mhz.insert(sm_mhz.end(), parts.sm_mhz.begin(), parts.sm_mhz.end());
    dropped += graph.dropped + parts.dropped;
    warm = warm && graph.warm && parts.warm;
    per_replay = graph.per_replay;
    record["layers_timed"] = parts.in_graph ? "events in a graph" : "events, launched one by one";
    record["event_seconds"] = parts.event_seconds;
    report(0.05 + 0.6 * (turn + 1) / kTurns);
    if (stopped(options) && turn + 1 < kTurns) return {};
  }
  const std::vector<double> eager = time_eager(gpu, options, whole);
  const std::vector<double> loading = time_eager(gpu, options, load);
  const std::vector<double> update =
      gpu.time_replays(replays, [&](int) { trainee.update(); }).seconds;
  report(0.8);

  MeasuredBatch result;
  result.update_s = median(update);
  BatchTimes& times = result.times;
  times.batch = batch;
  times.iteration = timing_of(iteration);
  times.input_pipeline_s = median(loading);
  std::vector<Timing> ahead, back(steps, Timing{0, 0, 0});
  for (std::size_t i = 0; i < steps; ++i) {
    ahead.push_back(timing_of(pieces[i]));
    if (plan.steps[i].backward) back[i] = timing_of(pieces[2 * steps - 1 - i]);
  }
  times.layers = layers_of(model, plan, ahead, back);
  double sum = 0;
  for (const LayerTimes& layer : times.layers)
    sum += layer.forward.median_s + layer.backward_data.median_s;
  times.closure_ratio = sum / times.iteration->median_s;
  const double launching = std::max(0.0, median(eager) - times.iteration->median_s);
  times.host_overhead_per_op_s = launching / static_cast<double>(host_launches(model));

  record["graph"] = summary_of(iteration);
  record["graph"]["iterations_per_replay"] = per_replay;
  record["eager"] = summary_of(eager);
  record["eager_less_graph_seconds"] = median(eager) - times.iteration->median_s;
  record["load"] = summary_of(loading);
  record["update"] = summary_of(update);
  record["dropped_for_low_clock"] = dropped;
  record["warm"] = warm;
  record["clocks"] = clocks_of(sm_mhz, gpu.clocks());
  if (options.operators) {
    record["operators"] =
        time_operators(model, gpu, plan, options, [&](double share) { report(0.8 + 0.2 * share); });
  }
  result.record = std::move(record);
  return result;
}

}  // namespace paceline
