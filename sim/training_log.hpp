#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/values/training_metrics.hpp"

namespace paceline {

/// Loss of a step, mean over the workers, and when the last of them had passed it.
struct LossPoint {
  std::int64_t step = 0;  ///< 1: after the first
  double time_s = 0;      ///< of the cluster
  double loss = 0;
};

/// An evaluation on the samples for testing.
struct EvaluationPoint {
  std::int64_t step = 0;
  double time_s = 0;
  double loss = 0;
  double accuracy = 0;  ///< share of right predictions
  double spread = 0;    ///< mean over the workers of |x_i - mean|^2 / |mean|^2
  /// The first whose weights are not finite; -1: none
  std::int64_t broken_worker = -1;
};

/// What a training on real values came to.
struct TrainingLog {
  std::vector<LossPoint> steps;
  std::vector<EvaluationPoint> evaluations;
  std::vector<CompressionSample> compression;
  std::optional<double> staleness;  ///< mean over the applied gradients, in updates
  std::int64_t most_stale = 0;
  std::string weights;  ///< which weights were evaluated
  /// The first step with a loss, an evaluation or a residual that is not finite, and on which
  /// worker, where it is one's; -1: none.
  std::int64_t diverged_step = -1, diverged_worker = -1;
};

}  // namespace paceline
