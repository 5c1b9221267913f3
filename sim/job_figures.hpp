#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace paceline {

/// What a simulation says of a job, as it stands in the result of a run.
struct JobFigures {
  std::size_t workers = 0;
  double iteration_time_s = 0;                ///< mean over the measured iterations
  double median_s = 0, p25_s = 0, p75_s = 0;  ///< of single iterations
  double total_time_s = 0;                    ///< of all steps, the extrapolated ones included
  std::int64_t steps = 0;
  std::int64_t simulated_steps = 0;
  std::int64_t measured_from = 0;              ///< steps of the warm-up
  double rounds = 0;                           ///< communication rounds per worker, over all steps
  double messages = 0;                         ///< per worker and iteration (mean)
  double sent_bytes = 0;                       ///< per worker and iteration (mean)
  double sent_bytes_max = 0;                   ///< of the worker that sends most
  double total_messages = 0, total_bytes = 0;  ///< per worker (mean), over all steps
};

}  // namespace paceline
