#pragma once

#include <string>
#include <vector>

#include "experiments/experiment.hpp"
#include "experiments/published.hpp"

namespace paceline {

/// Of the time that several GPUs take over one: what would go without one of its causes.
struct LossShare {
  std::string cause;  ///< "wire", "latency", "software per tensor", ...
  double gain_s = 0;  ///< the step is shorter by this without it, all else as it is
};

/// A constant of a stack that alone would explain what the simulator does not.
struct Suspect {
  std::string constant;
  double value = 0;
  double error = 0;  ///< mean absolute, of the measured points with it
};

/// What could be done about it, and the step then.
struct Remedy {
  std::string what;
  double step_s = 0;
};

struct DiagnosedPoint {
  std::string name;  ///< "8 GPUs"
  double measured_s = 0, predicted_s = 0, one_gpu_s = 0;
  std::vector<LossShare> shares;  ///< largest first
};

struct Diagnosis {
  std::vector<DiagnosedPoint> points;
  std::vector<Suspect> suspects;  ///< best first; none where the prediction holds
  std::vector<Remedy> remedies;   ///< of the last point, best first; none that is no gain
};

/// Measured points of one experiment, as rows (published.hpp): where the time over a single GPU's
/// goes, which constant of the stack would explain what is left, and what would help.
Diagnosis diagnose(const std::vector<PublishedRow>& rows, unsigned parallel);

/// "8 GPUs: 1400/s" or "8: 182ms", a point of `experiment` (the keys of an experiment). Throws
/// InputError.
PublishedRow measured_point(const std::string& text, const Json& experiment);

}  // namespace paceline
