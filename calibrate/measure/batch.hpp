#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "base/json.hpp"
#include "calibrate/measure/measure.hpp"
#include "calibrate/measure/stopwatch.hpp"
#include "kernels/cuda_module.hpp"
#include "models/network/plan.hpp"

// What the timers of a CPU and of a GPU share; nothing for users of the profile.
namespace paceline {

constexpr kernels::SgdOptions kSgd{.learning_rate = 1e-4, .momentum = .9};

/// Standard normal values (token numbers and labels: uniform), from `seed`.
Batch random_batch(const Model& model, std::int64_t batch, std::uint64_t seed);

/// A worker's own vectors, and the batches it trains on.
class Trainee {
 public:
  Trainee(const Model& model, kernels::Backend& backend, std::int64_t batch,
          const MeasureOptions& options);

  const Batch& next();
  void update() { backend_.sgd_step(kSgd, gradient_, velocity_, weights_); }
  [[nodiscard]] std::uint64_t seed() const { return static_cast<std::uint64_t>(step_); }
  [[nodiscard]] std::size_t elements() const { return weights_.size(); }
  [[nodiscard]] kernels::Array<float>& weights() { return weights_; }
  [[nodiscard]] kernels::Array<float>& gradient() { return gradient_; }

 private:
  kernels::Backend& backend_;
  const MeasureOptions& options_;
  std::int64_t batch_size_, step_ = 0;
  kernels::Array<float> weights_, gradient_, velocity_;
  Batch batch_;
};

/// Ten medians in a row, each within 1 % of the one before.
class WarmUp {
 public:
  bool done(double seconds);

 private:
  std::vector<double> seen_;
  double last_ = 0;
  int steady_ = 0;
};

/// Standard error of the median of the samples that count, over that median.
double standard_error(const std::vector<Sample>& samples);

[[nodiscard]] bool stopped(const MeasureOptions& options);
[[nodiscard]] double seconds_since(std::chrono::steady_clock::time_point start);

/// The seconds of the passes of each step of a plan, one entry per sample kept; a step without a
/// backward pass has none there.
struct StepSamples {
  std::vector<std::vector<double>> forward, backward;
};

/// Median and quartiles of one value or more.
Timing timing_of(const std::vector<double>& seconds);
/// n, median, quartiles, p05, p95 and least.
Json summary_of(const std::vector<double>& seconds);
/// What the metadata say of each of the model's timed_operations(): kind, shape, parameters, FLOPs
/// and least bytes of the batch, and the spread of its passes beyond the quartiles.
Json layer_records(const Model& model, const NetworkPlan& plan, std::int64_t batch,
                   const StepSamples& samples);

/// Times of `step` of a plan summed into those of the model's timed_operations().
std::vector<LayerTimes> layers_of(const Model& model, const NetworkPlan& plan,
                                  const std::vector<Timing>& forward,
                                  const std::vector<Timing>& backward);
/// Their medians together.
[[nodiscard]] double sum_of(const std::vector<LayerTimes>& layers);

struct MeasuredBatch {
  BatchTimes times;
  Json record = Json::object();  ///< for the metadata
  double update_s = 0;           ///< of the optimiser on the whole model
};

/// One batch size on a CPU or a GPU; nothing if it was interrupted too early. `report` takes the
/// share that is done.
std::optional<MeasuredBatch> measure_batch(const Model& model, kernels::Backend& backend,
                                           std::int64_t batch, const MeasureOptions& options,
                                           const std::function<void(double)>& report);
std::optional<MeasuredBatch> measure_batch_on_gpu(const Model& model, kernels::CudaBackend& gpu,
                                                  std::int64_t batch, const MeasureOptions& options,
                                                  const std::function<void(double)>& report);
/// Every different layer of the network alone, cold and hot: adds what `rows` has not
/// yet. Returns whether all are there; `save` after each.
bool measure_operators(const Model& model, kernels::CudaBackend& gpu, std::int64_t batch,
                       const MeasureOptions& options, Json& rows,
                       const std::function<void(double)>& report,
                       const std::function<void()>& save);

}  // namespace paceline
