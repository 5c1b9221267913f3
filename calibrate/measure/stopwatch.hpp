#pragma once

#include <functional>
#include <vector>

#include "calibrate/profile/profile.hpp"
#include "kernels/backend.hpp"

namespace paceline {

/// One timing. `undisturbed`: the operating system left this thread its core throughout.
struct Sample {
  double seconds = 0;
  double cpu_seconds = 0;  ///< of this thread; 0 if the backend is not a CPU
  bool undisturbed = true;
};

/// Seconds by the backend's clock. CPU time includes about a microsecond of system calls; the
/// seconds do not.
Sample take_sample(kernels::Backend& backend, const std::function<void()>& work);

/// What remains of the samples of one piece of work.
struct SampleSummary {
  Timing timing;
  std::vector<double> seconds;  ///< what the timing is of
  int kept = 0, dropped = 0;
  bool cpu_time = false;
};

/// Median and quartiles of the undisturbed samples. With fewer than `least` of those: of the CPU
/// times where they were taken, else of all samples. Throws std::invalid_argument for none at all.
SampleSummary summarize(const std::vector<Sample>& samples, int least = 5);

}  // namespace paceline
