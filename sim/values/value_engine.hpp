#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/values/compute_device.hpp"
#include "sim/values/task_graph.hpp"

namespace paceline {

/// One worker's training computation on real values. Called on the worker's strand only, in the
/// order of simulated starts. Positions are those of ModelShape: tensors in forward order, and in
/// backward order. Parameters and gradients are in the memory of backend().
class WorkerEngine {
 public:
  virtual ~WorkerEngine() = default;
  /// Takes the samples of `step` (several times in a row with accumulation: `micro` counts).
  virtual void load(std::int64_t step, std::int64_t micro) = 0;
  virtual void forward(std::uint32_t from, std::uint32_t to, std::span<const float> parameters,
                       std::int64_t step) = 0;
  virtual void backward(std::uint32_t from, std::uint32_t to, std::span<const float> parameters,
                        std::span<float> gradient) = 0;
  [[nodiscard]] virtual float loss() const = 0;  ///< of the last whole forward pass
  /// What lives from step to step beside the parameters (batch-norm statistics, LSTM state).
  [[nodiscard]] virtual std::int64_t state_elements() const = 0;
  virtual void read_state(std::span<float> state) const = 0;
  virtual void write_state(std::span<const float> state) = 0;
  [[nodiscard]] virtual kernels::Backend& backend() { return host_backend(); }
};

/// What an evaluation found.
struct Evaluation {
  double loss = 0;
  double accuracy = 0;  ///< share of right predictions
};

/// Training on real values, as a job sees it. Everything a task needs of the model and the data.
class ValueEngine {
 public:
  virtual ~ValueEngine() = default;
  [[nodiscard]] virtual std::unique_ptr<WorkerEngine> make_worker(std::size_t rank) = 0;
  [[nodiscard]] virtual std::vector<float> initial_parameters() const = 0;
  /// Runs on any thread, one call at a time. `state`: the mean of the workers'.
  virtual Evaluation evaluate(std::span<const float> parameters, std::span<const float> state) = 0;

  /// The memory of the GPU that all workers' backends compute in; null: the host's.
  [[nodiscard]] virtual std::shared_ptr<DeviceMemory> device_memory() { return nullptr; }

  /// The optimiser, SGD with momentum (Nesterov) and weight decay, on a part of the parameters, in
  /// the memory of `on`: a worker's backend or a server's host. `velocity` may be empty without
  /// momentum.
  virtual void update(kernels::Backend& on, double learning_rate, std::span<const float> gradient,
                      std::span<float> velocity, std::span<float> parameters) const = 0;
  [[nodiscard]] virtual double momentum() const = 0;
  /// Per step, each with samples of its own; must be the job's accumulation.
  [[nodiscard]] virtual std::int64_t micro_batches() const { return 1; }
};

}  // namespace paceline
