#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/compare.hpp"

namespace paceline {

/// A figure over the seeds: nothing but what was seen.
struct SeedSpread {
  double mean = 0, least = 0, most = 0;
  std::size_t count = 0;  ///< of the runs that have the figure

  explicit SeedSpread(const std::vector<double>& values);
  /// Every run of one is beyond every run of the other: only then a difference is claimed.
  [[nodiscard]] bool apart_from(const SeedSpread& other) const {
    return most < other.least || other.most < least;
  }
};

/// The runs of a comparison that differ in nothing but the axis "seed".
struct SeedGroup {
  std::vector<std::string> labels;  ///< of the other axes
  std::vector<const ComparedRow*> rows;

  /// Absent if no run has one.
  [[nodiscard]] std::optional<SeedSpread> time_to_target() const;
  [[nodiscard]] std::optional<SeedSpread> steps_to_target() const;
  [[nodiscard]] std::optional<SeedSpread> accuracy() const;  ///< of the last evaluation
  [[nodiscard]] std::optional<SeedSpread> loss() const;      ///< of the last evaluation
};

/// Names of the axes but "seed", and the groups in the order of the rows, which must outlive them.
struct OverSeeds {
  std::vector<std::string> axes;
  std::vector<SeedGroup> groups;
  std::size_t seeds = 1;  ///< most runs in a group
};
OverSeeds over_seeds(const Comparison& comparison);

struct CurvePoint {
  std::int64_t step = 0;
  double x = 0, y = 0;
};
/// Mean x, and mean, least and most y over curves, at the steps that all of them have.
struct SpreadCurve {
  std::vector<double> x, mean, least, most;
};
SpreadCurve spread_curve(const std::vector<std::vector<CurvePoint>>& curves);

}  // namespace paceline
