#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sim/values/buffer.hpp"

namespace paceline {

/// What was left out of one group of tensors in one step.
struct CompressionSample {
  std::int64_t step = 0;                  ///< 1: in the first
  std::int64_t offset = 0, elements = 0;  ///< of the group, in the flat parameter vector
  std::string label;                      ///< of the group, set by its job
  double selected = 0;                    ///< entries that a worker sent, mean; 0: not sparse
  double residual_norm = 0;               ///< |eps_p|, root of the mean square over the workers
  double error = 0;                       ///< mean over the workers of |eps_p|^2 / |a_p|^2
  /// LAGS' assumption, arXiv 1911.08727: |sum_p a_p - sum_p TopK(a_p)|^2 over
  /// E |sum_p a_p - RandK(sum_p a_p)|^2 = (1 - k/d) |sum_p a_p|^2; it holds while <= 1. Sparse
  /// only.
  std::optional<double> delta;
};

/// How far a training is.
struct TrainingProgress {
  std::int64_t step = 0, steps = 0;  ///< simulated by the last worker; of all
  double date_s = 0;                 ///< of the cluster
  std::int64_t passes = 0;           ///< of workers, computed so far: may lag behind `step`
  std::optional<double> loss;        ///< mean of the last computed pass of each worker
};

/// Observes the values of a job from outside: costs no simulated time and changes no bit. The
/// simulated clock's thread calls.
class TrainingMetrics {
 public:
  /// Compression is looked at in the last step before every `every`-th border, and in the last one.
  TrainingMetrics(TaskGraph& graph, std::size_t workers, std::int64_t every, std::int64_t steps)
      : graph_(graph), workers_(workers), every_(every), steps_(steps) {}

  /// A gradient went into the weights, which were `staleness` updates newer than those it was
  /// computed at.
  void applied(std::int64_t staleness);
  [[nodiscard]] bool sampled(std::int64_t step) const {
    return step + 1 == steps_ || (every_ > 0 && (step + 1) % every_ == 0);
  }
  /// In step `step` (0: the first) a worker sent a_p - eps_p of a group and kept eps_p: `residual`.
  void compressed(std::int64_t step, const Tensor& residual, const Sparse& sent);
  void compressed(std::int64_t step, const Tensor& residual, const Tensor& sent);

  /// On any thread: a worker has computed a pass.
  void passed(float loss);
  void report(TrainingProgress& progress) const;

  // After the graph has done all its work:
  [[nodiscard]] std::int64_t most_stale() const { return most_stale_; }
  /// Absent if no gradient was applied.
  [[nodiscard]] std::optional<double> mean_staleness() const;
  /// By step, and by offset within it.
  [[nodiscard]] std::vector<CompressionSample> compression() const;

 private:
  struct Measured {  // by the tasks: a checkpoint holds it
    double selected, residual_norm, error;
    double delta;  // NaN: not sparse
  };
  using AddTo = std::function<void(std::vector<double>&)>;  // what was sent, onto a vector
  struct Group {
    std::vector<View> residuals;
    std::vector<AddTo> sent;
    std::vector<std::shared_ptr<SparseData>> sparse;
    std::vector<TaskGraph::Ref> after;
    std::shared_ptr<Measured> measured;
  };
  void add(std::int64_t step, const Tensor& residual, AddTo sent, const TaskGraph::Ref& written,
           std::shared_ptr<SparseData> sparse);
  static void evaluate(const Group& group);

  TaskGraph& graph_;
  std::size_t workers_;
  std::int64_t every_, steps_;
  mutable std::mutex mutex_;
  std::vector<float> losses_;  // of the last passes, a ring of `workers_`
  std::int64_t passes_ = 0;
  std::int64_t applications_ = 0, sum_ = 0, most_stale_ = 0;
  using Key = std::pair<std::int64_t, std::int64_t>;  // step, offset
  std::map<Key, Group> open_;                         // until the last worker is there
  struct Sample {
    std::int64_t elements;
    std::shared_ptr<const Measured> measured;
  };
  std::map<Key, Sample> samples_;
};

}  // namespace paceline
