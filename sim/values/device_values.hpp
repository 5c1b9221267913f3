#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "algorithms/worker.hpp"
#include "sim/values/buffer.hpp"
#include "sim/values/training_metrics.hpp"
#include "sim/values/value_engine.hpp"

namespace paceline {

/// What runs on values for one holder of memory (a worker, or a server): tensors' data and the
/// strand that computes them. A `Launch` is called by the simulated clock when the operation
/// starts; it posts the work.
class DeviceValues {
 public:
  using Launch = std::function<void()>;

  DeviceValues(TaskGraph& graph, TrainingMetrics& metrics, ComputeDeviceRef device = host_device())
      : strand_(graph), metrics_(metrics), device_(std::move(device)) {}
  [[nodiscard]] Strand& strand() { return strand_; }
  /// What it computes on.
  [[nodiscard]] const ComputeDeviceRef& device() const { return device_; }

  /// result = f(reads), on the host. `result` is fresh. These throw std::logic_error if a tensor
  /// has no values, or two of them do not fit each other.
  Launch compute(std::vector<Tensor> reads, BufferRef result, ValueFunction f);
  /// results = call(reads) with the backend of `on` (null: the host).
  Launch apply(const kernels::Call& call, std::vector<Tensor> reads, std::vector<BufferRef> results,
               ComputeDeviceRef on);
  Launch combine(double a, const Tensor& x, double b, const Tensor& y, BufferRef result);
  Launch scale(double a, const Tensor& x, BufferRef result);
  /// `launch`, which writes the weights `result` by a gradient, as one more version of them.
  Launch new_version(const Tensor& weights, const Tensor& gradient, BufferRef result,
                     Launch launch);

 protected:
  /// Notes a gradient that goes into weights: their versions over its range.
  void note_applied(const Versions& weights, const Tensor& gradient);
  /// Posts work(device) to the strand; its results are there for all when the task is done.
  template <class Work>
  TaskGraph::Ref post_on(const ComputeDeviceRef& device, Work work,
                         std::vector<TaskGraph::Ref> after) {
    return strand_.post(
        [on = device, work = std::move(work)] {
          work(*on);
          on->finish();
        },
        std::move(after));
  }

  Strand strand_;
  TrainingMetrics& metrics_;
  ComputeDeviceRef device_;
};

}  // namespace paceline
