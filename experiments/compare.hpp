#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/axes.hpp"
#include "experiments/result.hpp"

namespace paceline {

struct ComparedRow {
  std::vector<std::string> labels;  ///< one per axis
  RunResult result;
};

struct Comparison {
  std::string name;
  std::string description;
  std::vector<std::string> axes;
  std::vector<ComparedRow> rows;
};

/// Runs every combination of the axes, each and its S-SGD baseline in a process of its own (equal
/// simulations once), `parallel` at a time. `progress(done, all)` is called now and then. Throws
/// InputError if there is no axis, and for the first point that is wrong, naming its labels.
Comparison compare(const Json& json, const std::string& file, const std::vector<Axis>& axes,
                   unsigned parallel,
                   const std::function<void(std::size_t, std::size_t)>& progress = {});

/// "format": "paceline-comparison-1": axes, and rows of labels and results.
Json to_json(const Comparison& comparison);

}  // namespace paceline
