#pragma once

#include <span>

namespace paceline {

/// The q-quantile with linear interpolation between order statistics (type 7 of Hyndman and Fan,
/// the default of R and numpy). Throws std::invalid_argument for no values or q outside [0, 1].
double quantile(std::span<const double> values, double q);
double median(std::span<const double> values);

struct Quartiles {
  double p25 = 0;
  double median = 0;
  double p75 = 0;
};
Quartiles quartiles(std::span<const double> values);

}  // namespace paceline
