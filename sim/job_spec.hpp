#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "algorithms/schedule.hpp"
#include "calibrate/profile/operation_costs.hpp"
#include "platforms/stack.hpp"
#include "sim/job_options.hpp"

namespace paceline {

class ValueEngine;

/// One training job: a schedule over a set of GPUs.
struct JobSpec : JobOptions {
  Schedule schedule;
  ModelShape model;                             ///< with the profile's times per tensor
  std::shared_ptr<const OperationCosts> costs;  ///< of schedules' own operations
  Stack stack{};                    ///< the software; what it does to the cluster is in the cluster
  std::vector<Endpoint> servers;    ///< hosts that run the schedule's server; empty: none
  std::vector<double> weights;      ///< share of each worker in means; empty: 1/N each
  std::vector<double> batch_share;  ///< compute time relative to the profile's batch; empty: 1
  std::int64_t steps = 1;
  bool clips = false;          ///< the norm of what the optimiser applies
  double step_overhead_s = 0;  ///< input pipeline, once per step, before forward
  Selector selector = Selector::radix_select;
  Jitter jitter;
  double p25_over_median = 1, p75_over_median = 1;  ///< for jitter from the profile
  std::uint64_t seed = 1;
  std::shared_ptr<ValueEngine> values;  ///< null: time only
  std::int64_t evaluate_every = 0;      ///< steps; 0: only at the end
  /// Ends once an evaluation has reached it and something is measured; empty: after its steps.
  std::optional<double> until_accuracy;
  std::function<double(std::int64_t step)> learning_rate;  ///< empty in time-only runs
};

/// The optimiser on so many elements in one piece.
[[nodiscard]] double update_s(const JobSpec& spec, double elements);

}  // namespace paceline
