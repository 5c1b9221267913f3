#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"

namespace paceline {

/// What one parameter tensor stands for in a step.
struct TensorCost {
  std::string name;
  std::int64_t elements = 0;
  double forward_s = 0;  ///< from the moment the parameters before it are used up to those after it
  double backward_s = 0;  ///< from the previous gradient in backward order to this one
};

/// Costs of one training step of one worker (one micro-batch) on one device.
///
/// The time of operations without parameters is booked on a neighbour so that two sums are right:
/// - forward: up to and including tensor t, everything that runs before the next operation with
/// parameters.
///   An operation needs all its tensors, so its time stands on the last of them; what precedes the
///   first operation with parameters stands on the first tensor.
/// - backward: down to and including tensor t (in backward order), everything that runs before t's
/// gradient
///   is ready. The backward of an operation stands on the first of its tensors in backward order.
struct StepCosts {
  std::vector<TensorCost> tensors;          ///< forward order
  std::vector<std::size_t> backward_order;  ///< indices into `tensors`
  double host_overhead_s = 0;       ///< per step, added by the host's launching of operations
  double input_pipeline_s = 0;      ///< per step, waiting for input data
  double relative_uncertainty = 0;  ///< sigma of the step time over the step time
  /// Quartiles of the step time over its median, for jitter; absent if the profile has none.
  std::optional<double> p25_over_median;
  std::optional<double> p75_over_median;
  ProfileSource source = ProfileSource::analytic;
  std::string description;  ///< e.g. "analytic: GTX 1080 Ti, fp32, fitted on DeepBench, sigma 13 %"

  [[nodiscard]] double forward_s() const;   ///< sum over the tensors
  [[nodiscard]] double backward_s() const;  ///< sum over the tensors
  [[nodiscard]] double step_s() const;      ///< forward, backward, host overhead and input
};

/// The costs of `model` at `batch` samples per step. Between two recorded batches each layer is
/// interpolated linearly and the source becomes `interpolated`. Throws InputError if the profile is
/// of another model (the first difference is named), or if the batch lies outside the recorded ones
/// or, for models with recurrent layers, is not one of them (their times are not monotone in the
/// batch).
StepCosts step_costs(const Model& model, const Profile& profile, std::int64_t batch);

/// How many operations the host launches per step, as host_overhead_per_op_s counts them: one per
/// timed operation forward, and one per tensor backward.
std::size_t host_launches(const Model& model);

}  // namespace paceline
