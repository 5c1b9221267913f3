// How a GPU's training steps are timed: replays of CUDA graphs, so that the host's launching is
// apart from the device's work.

#include <algorithm>
#include <array>

#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/network/execution.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;
using kernels::CudaBackend;

// The clock beside the samples, and everything else that a look shows while the GPU works.
Json clocks_of(const std::vector<int>& sm_mhz, const std::vector<kernels::CudaClocks>& looks) {
  Json json = Json::object();
  const auto put = [&](const char* key, const std::vector<double>& values) {
    if (values.empty()) return;
    json[key] = {{"median", median(values)},
                 {"least", quantile(values, 0)},
                 {"most", quantile(values, 1)},
                 {"n", values.size()}};
  };
  std::vector<double> sm(sm_mhz.begin(), sm_mhz.end()), memory, celsius, watts;
  for (const kernels::CudaClocks& look : looks) {
    if (look.memory_mhz >= 0) memory.push_back(look.memory_mhz);
    if (look.celsius >= 0) celsius.push_back(look.celsius);
    if (look.watts >= 0) watts.push_back(look.watts);
  }
  put("sm_mhz", sm);
  put("memory_mhz", memory);
  put("celsius", celsius);
  put("watts", watts);
  return json;
}

Json convolutions_of(const CudaBackend& gpu) {
  Json rows = Json::array();
  for (const kernels::ConvolutionChoice& choice : gpu.convolution_choices()) {
    Json row{{"shape", choice.shape}, {"pass", choice.pass}};
    if (choice.instead.empty())
      row.update({{"algorithm", choice.algorithm},
                  {"math", choice.math},
                  {"workspace_bytes", choice.workspace_bytes},
                  {"workspace_limit_bytes", choice.workspace_limit_bytes},
                  {"chosen", choice.measured ? "fastest of those tried" : "by heuristics"}});
    else
      row["im2col_because"] = choice.instead;
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

// Forward and backward of one batch size, whole and piece by piece.
class GpuStepper {
 public:
  GpuStepper(const Model& model, CudaBackend& gpu, std::int64_t batch,
             const MeasureOptions& options)
      : model_(model),
        gpu_(gpu),
        options_(options),
        execution_(plan_network(model, batch), gpu),
        trainee_(model, gpu, batch, options),
        pieces_(2 * steps()),
        replays_{.sample_seconds = std::min(2e-3, options.seconds / 60),
                 .samples = 60,
                 .warm_up_seconds = options.warm_up_seconds,
                 .limit_seconds = options.seconds / 4} {
    for (const NetworkLoss& loss : plan().losses)
      gpu.write(std::array{static_cast<float>(loss.weight), 0.0f},
                execution_.gradient(loss.gradient));
    load();
    whole();  // loads modules, picks algorithms, grows scratch memory
    gpu.synchronize();
  }

  // Iteration and layers take turns, so that both meet the same clocks.
  void turn() {
    const kernels::ReplaySamples graph = gpu_.time_replays(replays_, [&](int) { whole(); });
    look();
    const kernels::PieceSamples parts =
        gpu_.time_pieces(replays_, pieces_.size(), [&](std::size_t p) {
          p < steps() ? forward(p, p + 1) : backward(p - steps(), p - steps() + 1);
        });
    append(iteration_, graph.seconds);
    for (std::size_t p = 0; p < pieces_.size(); ++p) append(pieces_[p], parts.seconds[p]);
    append(sm_mhz_, graph.sm_mhz);
    append(sm_mhz_, parts.sm_mhz);
    dropped_ += graph.dropped + parts.dropped;
    warm_ = warm_ && graph.warm && parts.warm;
    per_replay_ = graph.per_replay;
    layers_timed_ = parts.in_graph ? "events in a graph" : "events, launched one by one";
    event_seconds_ = parts.event_seconds;
    ++turns_;
  }

  // Everything that is not the graph.
  void rest() {
    look();
    eager_ = time_eager(gpu_, options_, [&] { whole(); });
    loading_ = time_eager(gpu_, options_, [&] { load(); });
    update_ = gpu_.time_replays(replays_, [&](int) { trainee_.update(); }).seconds;
  }

  [[nodiscard]] MeasuredBatch result(std::int64_t batch) const {
    MeasuredBatch result;
    result.update_s = median(update_);
    BatchTimes& times = result.times;
    times.batch = batch;
    times.iteration = timing_of(iteration_);
    times.input_pipeline_s = median(loading_);
    const StepSamples samples = step_samples();
    std::vector<Timing> ahead, back;
    for (std::size_t i = 0; i < steps(); ++i) {
      ahead.push_back(timing_of(samples.forward[i]));
      back.push_back(samples.backward[i].empty() ? Timing{0, 0, 0}
                                                 : timing_of(samples.backward[i]));
    }
    times.layers = layers_of(model_, plan(), ahead, back);
    times.closure_ratio = sum_of(times.layers) / times.iteration->median_s;
    times.host_overhead_per_op_s =
        std::max(0.0, launching_s()) / static_cast<double>(host_launches(model_));
    result.record = record();
    result.record["layers"] = layer_records(model_, plan(), batch, samples);
    return result;
  }

 private:
  [[nodiscard]] const NetworkPlan& plan() const { return execution_.plan(); }
  [[nodiscard]] std::size_t steps() const { return plan().steps.size(); }
  void load() {
    const Batch& samples = trainee_.next();
    gpu_.write(samples.inputs, execution_.value(plan().input));
    gpu_.write(samples.labels, execution_.value(plan().labels));
  }
  void forward(std::size_t from, std::size_t to) {
    execution_.forward(from, to, trainee_.weights().data(), true, 1);
  }
  void backward(std::size_t from, std::size_t to) {
    execution_.backward(from, to, trainee_.weights().data(), trainee_.gradient().data());
  }
  void whole() {
    forward(0, steps());
    backward(0, steps());
  }
  // While the GPU works: a few launches are ahead of it.
  void look() {
    for (int i = 0; i < 5; ++i) {
      whole();
      looks_.push_back(gpu_.clocks());
    }
    gpu_.synchronize();
  }
  template <class T>
  static void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }
  [[nodiscard]] double launching_s() const { return median(eager_) - median(iteration_); }
  [[nodiscard]] StepSamples step_samples() const {
    StepSamples samples{{}, std::vector<std::vector<double>>(steps())};
    for (std::size_t i = 0; i < steps(); ++i) {
      samples.forward.push_back(pieces_[i]);
      if (plan().steps[i].backward) samples.backward[i] = pieces_[2 * steps() - 1 - i];
    }
    return samples;
  }
  [[nodiscard]] Json record() const {
    Json record{{"layers_timed", layers_timed_},
                {"event_seconds", event_seconds_},
                {"turns", turns_},
                {"graph", summary_of(iteration_)},
                {"eager", summary_of(eager_)},
                {"eager_less_graph_seconds", launching_s()},
                {"load", summary_of(loading_)},
                {"update", summary_of(update_)},
                {"iteration_seconds", median(iteration_)},
                {"update_seconds", median(update_)},
                {"dropped_for_low_clock", dropped_},
                {"warm", warm_},
                {"clocks", clocks_of(sm_mhz_, looks_)},
                {"convolutions", convolutions_of(gpu_)}};
    record["graph"]["iterations_per_replay"] = per_replay_;
    return record;
  }

  const Model& model_;
  CudaBackend& gpu_;
  const MeasureOptions& options_;
  Execution<float, kernels::Backend> execution_;
  Trainee trainee_;
  std::vector<double> iteration_, eager_, loading_, update_;
  std::vector<std::vector<double>> pieces_;
  std::vector<int> sm_mhz_;
  std::vector<kernels::CudaClocks> looks_;
  kernels::ReplayOptions replays_;
  int dropped_ = 0, per_replay_ = 0, turns_ = 0;
  bool warm_ = true;
  const char* layers_timed_ = "";
  double event_seconds_ = 0;
};

}  // namespace

std::optional<MeasuredBatch> measure_batch_on_gpu(const Model& model, CudaBackend& gpu,
                                                  std::int64_t batch, const MeasureOptions& options,
                                                  const std::function<void(double)>& report) {
  GpuStepper stepper(model, gpu, batch, options);
  report(0.05);
  constexpr int kTurns = 2;
  for (int turn = 0; turn < kTurns; ++turn) {
    if (stopped(options) && turn == 0) return {};
    stepper.turn();
    report(0.05 + 0.75 * (turn + 1) / kTurns);
    if (stopped(options)) break;  // one turn is enough to keep
  }
  stepper.rest();
  report(1);
  return stepper.result(batch);
}

}  // namespace paceline
