#pragma once

#include <cstdint>

#include "experiments/experiment.hpp"

namespace paceline {

/// The most steps whose run ends within `seconds` of cluster time, from a few runs without values.
/// With message sizes that depend on the values (threshold selectors) it goes by the expected ones.
/// Throws InputError if not even one step does, or more than 100 million do.
std::int64_t steps_within(const Experiment& experiment, double seconds);

/// Seconds of this machine that the experiment's training will take, from a few steps of it that are
/// run and thrown away: its steps and its evaluations, each as long as theirs. 0: too short to be
/// worth it (the estimate would take a tenth of the training).
double real_time_s(const Experiment& experiment);

}  // namespace paceline
