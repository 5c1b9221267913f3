#pragma once

#include <cstdint>

#include "sim/job.hpp"
#include "sim/simulation.hpp"

namespace paceline {

/// Cycles of a run that were found to be like the measured one, and not simulated.
struct LeftOut {
  std::int64_t cycles = 0;
  double cycle_s = 0;
};

/// What a job has come to, now that the run is over.
JobResult job_result(const Job& job, const LeftOut& left_out);

}  // namespace paceline
