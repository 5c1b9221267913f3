#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "sim/time/continuations.hpp"
#include "sim/training_log.hpp"
#include "sim/values/worker_values.hpp"

namespace paceline {

/// Evaluates the model that a job has come to, each worker's weights and state as it passes a
/// border, whatever the others do meanwhile. Observes from outside: costs no simulated time and
/// changes no bit. The simulated clock's thread calls.
class Evaluations {
 public:
  /// After every `every`-th step (0: of none) and after the last one, number `steps`. `shares`: of
  /// the workers in the mean that is evaluated.
  Evaluations(TaskGraph& graph, Continuations& later, std::shared_ptr<ValueEngine> engine,
              std::vector<double> shares, std::int64_t every, std::int64_t steps);

  [[nodiscard]] bool wanted(std::int64_t step) const {
    return step == steps_ || (every_ > 0 && step % every_ == 0);
  }
  /// Worker `rank` has taken `step`, and holds `model`.
  void passed(std::int64_t step, std::size_t rank, const Tensor& model, WorkerValues& values);
  /// Now all have. What servers hold (`served`: shards) is the model, if there are any.
  void all_passed(std::int64_t step, double date_s, const std::vector<Tensor>& served);

  /// Has one that was begun since the last question this accuracy? Waits for them.
  bool reached(double accuracy);
  /// By step; only of models that were computed before the run was over. After the graph has done
  /// all its work.
  [[nodiscard]] std::vector<EvaluationPoint> points() const;

 private:
  struct Open {
    std::vector<Tensor> models;  // by worker
    std::vector<Floats> states;  // by worker: batch-norm statistics
    std::vector<Tensor> served;
    std::vector<TaskGraph::Ref> after;
    std::shared_ptr<EvaluationPoint> point;
  };
  void post(Open open);  // when all its models are computed

  TaskGraph& graph_;
  Continuations& later_;
  std::shared_ptr<ValueEngine> engine_;
  std::vector<double> shares_;
  std::int64_t every_, steps_;
  std::map<std::int64_t, Open> open_;  // by step, until the last worker is there
  std::map<std::int64_t, std::shared_ptr<EvaluationPoint>> points_;
  TaskGraph::Ref last_;
  std::vector<std::pair<TaskGraph::Ref, std::shared_ptr<EvaluationPoint>>> unasked_;
};

}  // namespace paceline
