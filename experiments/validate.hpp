#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "experiments/published.hpp"

namespace paceline {

/// What the simulator says of a row.
struct Replay {
  double predicted_s = 0;  ///< of an iteration, or of the all-reduce; bytes of memory
  double sigma_s = 0;      ///< stated with it: one standard deviation
  double one_gpu_s = 0;    ///< of an iteration on one GPU
  std::string fidelity, stack;
};

/// Simulates the row in this process, which may do so only once if it needs SimGrid's engine.
/// Throws InputError naming the row.
Replay replay(const PublishedRow& row);

/// A measured row beside what the simulator says of it.
struct ReplayedRow : Replay {
  PublishedRow row;

  /// Of the time: 0.05 says 5 % slower than measured.
  [[nodiscard]] double error() const { return predicted_s / row.measured_s - 1; }
  /// Predicted over measured time of the row of the series that is its base; 0: none.
  double base_ratio = 0;

  /// Of T_N / T_1, where the series has a single GPU's time and this row more GPUs; or of T_N over
  /// the time of the series' base.
  [[nodiscard]] std::optional<double> scaling_error() const;
  /// Whether the measured time is in the stated interval of 90 %.
  [[nodiscard]] bool covered() const;
};

/// Half the width of an interval of 90 % of a normal distribution, in sigmas.
inline constexpr double kNinetyPercent = 1.6449;

/// Of absolute relative errors; zeroes without a row.
struct ErrorSummary {
  std::size_t rows = 0;
  double mean = 0, median = 0, p90 = 0;
  explicit ErrorSummary(const std::vector<double>& errors);
};

struct ReplayedSet {
  PublishedSet set;  ///< its rows moved to `rows`
  std::vector<ReplayedRow> rows;

  /// Rows that constants were fitted on, and those that are scored: all others but `reported`.
  [[nodiscard]] ErrorSummary training() const;
  [[nodiscard]] ErrorSummary judged() const;
  [[nodiscard]] ErrorSummary scaling() const;  ///< of judged rows
  [[nodiscard]] double bias() const;           ///< mean signed error of judged rows
  [[nodiscard]] double coverage() const;       ///< share of judged rows that covered()
  [[nodiscard]] bool within_bar() const;       ///< true without a bar
};

struct ReplaySettings {
  unsigned parallel = 1;             ///< simulations at a time
  Json experiment = Json::object();  ///< keys that replace every row's: another stack
  std::function<void(std::size_t done, std::size_t all)> progress{};
};

/// Replays every row, each in a process of its own. Throws InputError for a row that cannot be
/// said, naming it.
std::vector<ReplayedSet> replay(std::vector<PublishedSet> sets, const ReplaySettings& settings);

/// "format": "paceline-validation-1": per set the summaries, and every row.
Json to_json(const std::vector<ReplayedSet>& sets);

}  // namespace paceline
