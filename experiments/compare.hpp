#pragma once

#include <filesystem>
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

struct CompareProgress {
  std::size_t done = 0, all = 0;  ///< simulations, the S-SGD baselines among them
  std::size_t stored = 0;         ///< of those done: found in the folder of runs
};

struct CompareSettings {
  unsigned parallel = 1;         ///< simulations at a time
  std::filesystem::path runs{};  ///< folder where finished runs are kept and found; empty: none
  std::function<void(const CompareProgress&)> progress{};
};

/// Runs every combination of the axes, each and its S-SGD baseline in a process of its own, equal
/// simulations once. Throws InputError if there is no axis, and for the first point that is wrong,
/// naming its labels; the runs of the others are kept.
Comparison compare(const Json& json, const std::string& file, const std::vector<Axis>& axes,
                   const CompareSettings& settings = {});

/// "format": "paceline-comparison-1": axes, and rows of labels and results.
Json to_json(const Comparison& comparison);
/// The inverse, for what to_json wrote. Throws InputError.
Comparison comparison_from_json(const Json& json, const std::string& file);

}  // namespace paceline
