#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "experiments/compare.hpp"
#include "experiments/run.hpp"

namespace paceline {

/// "1:05", "2:03:04".
std::string clock_time(double seconds);
/// One line about a training; `samples` of each worker's pass, `elapsed_s` since the first pass.
std::string progress_line(const TrainingProgress& progress, double samples, double elapsed_s);
/// One line about a comparison; `elapsed_s` since the first simulation.
std::string progress_line(const CompareProgress& progress, double elapsed_s);

/// A bar with loss, simulated time, images/s and time left on stderr, a few times a second; nothing
/// where that is not wanted.
ProgressReport training_progress(const Experiment& experiment);
std::function<void(const CompareProgress&)> comparison_progress();
/// Of a run in real time from here on, told how many of its steps are done; empty where that is not
/// wanted.
std::function<void(std::int64_t)> steps_progress(std::int64_t steps);

}  // namespace paceline
