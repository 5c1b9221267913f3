#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calibrate/network/fit.hpp"
#include "calibrate/network/link.hpp"

namespace paceline {

/// The logs that the link is made of: point-to-point if there is any, else the all-reduces of the
/// most ranks, else bandwidth alone.
struct Choice {
  FittedLog main;
  std::optional<FittedLog> bandwidth;
  std::vector<const FittedLog*> checks;  ///< all-reduces that the link is only compared with
};

/// Repeated runs count alike. The checks are among `logs`.
Choice choose(const std::vector<FittedLog>& logs);

/// CSV of the columns jobs, bytes, seconds. Throws InputError naming file and line.
std::vector<ContentionSample> read_contention(const std::string& file);

}  // namespace paceline
