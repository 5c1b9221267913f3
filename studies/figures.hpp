#pragma once

#include <vector>

#include "experiments/result.hpp"
#include "studies/sqlite.hpp"

namespace paceline {

/// A column of every result of a store. SI units; absent where a run has no such figure.
struct Figure {
  const char* name;
  const char* type;  ///< of SQL
  SqlValue (*of)(const RunResult& result);
};
const std::vector<Figure>& figures();

}  // namespace paceline
