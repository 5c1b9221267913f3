#pragma once

#include <cstdint>

#include "platforms/spec.hpp"

namespace paceline {

/// Factor on the compute time of one step of one worker: a pure function of its arguments, so that
/// results do not depend on the order of events. normal, lognormal and gamma have mean 1 and the
/// given cv (normal is cut at 5 % of the mean); `profile` is lognormal with median 1 through the
/// profile's quartiles (given over its median).
double jitter_factor(const Jitter& jitter, double p25_over_median, double p75_over_median,
                     std::uint64_t seed, std::uint64_t worker, std::uint64_t step);

}  // namespace paceline
