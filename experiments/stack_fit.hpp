#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/published.hpp"
#include "platforms/stack.hpp"

namespace paceline {

/// What rows say of one constant of a stack.
struct FittedConstant {
  std::string key;
  double before = 0, value = 0;
  double sigma = 0;         ///< one standard deviation of `value`; 0: not identified
  bool identified = false;  ///< the rows know it to within half of itself
};

struct StackFit {
  std::vector<FittedConstant> constants;
  double error_before = 0, error_after = 0;  ///< mean absolute, of the rows' times
  std::size_t rows = 0;
  std::size_t simulations = 0;
};

struct StackFitSettings {
  std::vector<std::string> constants;  ///< keys of stack_fields(); fitted in this order of trust
  unsigned parallel = 1;
  std::function<void(const std::string&)> progress{};
};

/// Moves the named constants of `stack` to where the logarithms of the predicted over the measured
/// times of `rows` have the least sum of squares (Gauss-Newton with halved steps, within what a
/// file may say). A constant that the rows do not move is left as it is. Throws InputError for
/// fewer rows than constants, or an unknown constant (the nearest is named).
StackFit fit_stack(const std::vector<PublishedRow>& rows, Stack stack,
                   const StackFitSettings& settings);

}  // namespace paceline
