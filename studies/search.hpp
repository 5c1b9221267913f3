#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace paceline {

/// One axis of what is searched: values 0 to `values` - 1.
struct SearchAxis {
  std::size_t values = 1;
  bool ordered = true;  ///< neighbours are alike: numbers, and not names
};
/// A value of each axis.
using Setting = std::vector<std::size_t>;

/// What came of a setting.
struct Evaluation {
  std::optional<double> value{};  ///< to be small; absent: there is none here
  std::vector<double> excess{};   ///< of each constraint, as a share of its bound; above 0: broken
  [[nodiscard]] bool allowed() const;
  /// The allowed before the others, those by their value; the others by how much they break.
  [[nodiscard]] bool better_than(const Evaluation& other) const;
};

struct SearchResult {
  Setting best;  ///< of equally good ones the first in the order of the axes
  Evaluation evaluation;
  std::size_t evaluated = 0;
  bool all = false;           ///< every setting was looked at
  bool no_neighbour = false;  ///< none that differs along one axis alone, by one step, is better
};

/// The best setting, with at most `evaluations` of them looked at; each once. All of them where that is enough, else
/// DIRECT (Gablonsky and Kelley 2001), then COBYLA (Powell 1994) along ordered axes of many values from the best on, then
/// steps along one axis that grow shorter, and DIRECT again with what is left. Nothing is drawn at random: the same
/// evaluations give the same settings in the same order. `evaluate` gets those that do not depend on one another, at once.
SearchResult search(
    const std::vector<SearchAxis>& axes, std::size_t constraints, std::size_t evaluations,
    const std::function<std::vector<Evaluation>(const std::vector<Setting>&)>& evaluate);

}  // namespace paceline
