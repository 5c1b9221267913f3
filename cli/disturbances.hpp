#pragma once

#include <string>
#include <vector>

#include "platforms/spec.hpp"

namespace paceline {

/// What disturbs a cluster, one line each: "worker 3 slowed x2 from 0 s".
std::vector<std::string> disturbances(const ClusterSpec& spec, const Jitter& jitter);

}  // namespace paceline
