#include "algorithms/complexity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace paceline {

double period_rule(double iterations, double workers) {
  return std::max(1.0, std::pow(iterations, 0.25) / std::pow(workers, 0.75));
}

double iterations_for_period(double period, double workers) {
  return std::pow(period * std::pow(workers, 0.75), 4);
}

double rounds_by_rule(double iterations, double workers) {
  return iterations / period_rule(iterations, workers);
}

std::string local_rounds_formula(std::int64_t period) {
  return fmt::format("T/{} at k = {}; with k = T^(1/4)/N^(3/4): O(N^(3/4) T^(3/4)) [paper]", period,
                     period);
}

}  // namespace paceline
