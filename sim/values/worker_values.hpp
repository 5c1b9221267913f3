#pragma once

#include <span>
#include <vector>

#include "sim/values/device_values.hpp"
#include "sim/values/pass_log.hpp"

namespace paceline {

/// The values of one worker: its engine, parameters, velocity, gradient and selections.
class WorkerValues final : public DeviceValues, public CheckpointState::Part {
 public:
  WorkerValues(TaskGraph& graph, TrainingMetrics& metrics, ValueEngine& engine, std::size_t rank,
               const ModelShape& model, std::int64_t steps, std::int64_t accumulation);

  /// The buffer that the next backward pass writes: one that nobody holds.
  BufferRef fresh_gradient();

  void forward(std::uint32_t from, std::uint32_t to, std::int64_t step, const Tensor& parameters);
  void backward(std::uint32_t from, std::uint32_t to, const Tensor& parameters, Buffer& gradient);
  /// The optimiser on the ranges of `gradients`, in place. `parameters` is the worker's handle:
  /// replaced by a copy if somebody else holds one.
  void update(const std::vector<Tensor>& gradients, double learning_rate, Tensor& parameters);
  /// Copies `values` into their range.
  void assign(const Tensor& values, Tensor& parameters);

  Launch select(const Tensor& residual, double factor, const Tensor& gradient, std::int64_t k,
                Selector selector, std::uint64_t seed, SparseBufferRef sent, BufferRef rest);
  /// result = sum of weight[i] * block[i].
  Launch scatter(std::vector<Sparse> blocks, std::vector<double> weights, BufferRef result);
  /// Of the running step: `sent` left the worker, and `residual` did not. Both are computed.
  void compressed(std::int64_t step, const Tensor& residual, const Tensor& sent) {
    if (metrics_.sampled(step)) metrics_.compressed(step, residual, sent);
  }
  Launch put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept, BufferRef result);

  /// By step; after wait_all.
  [[nodiscard]] std::span<const float> losses() const { return losses_->read(); }
  [[nodiscard]] WorkerEngine& engine() { return *engine_; }

  // CheckpointState::Part: the engine, in the middle of a pass too if the pass was noted from its beginning.
  [[nodiscard]] bool savable() const override { return !in_pass_ || pass_; }
  void save(ArchiveWriter& archive) const override;
  void load(ArchiveReader& archive) override;

 private:
  WorkerValues(TaskGraph& graph, TrainingMetrics& metrics, ValueEngine& engine,
               std::shared_ptr<WorkerEngine> own, const ModelShape& model, std::int64_t steps,
               std::int64_t accumulation);
  Buffer& writable(Tensor& parameters);

  ValueEngine& values_;
  std::shared_ptr<WorkerEngine> engine_;
  const ModelShape& model_;
  std::int64_t accumulation_;
  Floats velocity_, accumulated_;  // the latter null without accumulation
  Floats losses_;
  bool in_pass_ = false;           // forward has begun, backward has not come to its end
  std::shared_ptr<PassLog> pass_;  // null unless the pass is noted
  std::vector<BufferRef> gradients_;
  std::int64_t step_ = 0;              // of the newest forward pass
  std::vector<std::int64_t> read_at_;  // by tensor: version of its weights in that pass
};

}  // namespace paceline
