#pragma once

#include <string>

namespace paceline {

/// Totals of one link.
struct LinkUse {
  std::string name;
  double bytes = 0;  ///< per measured iteration of the first job
  /// The largest it had in the measured iterations, left by background traffic; what link events
  /// did to it included.
  double bandwidth = 0;
  double utilisation = 0;  ///< bytes / (bandwidth x time of an iteration)
};

}  // namespace paceline
