#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "studies/store.hpp"

namespace paceline {

/// A point of a study as a report needs it; points that differ in the seed alone are one, of means.
struct FoundPoint {
  std::uint64_t number = 0;  ///< of the first
  std::vector<std::string> labels;
  std::size_t seeds = 1;
  /// Of the mean over the seeds, half its 95 % interval (Student's t), 0 of one.
  double time_half_s = 0, speedup_half = 0;
  double log_error = 0;  ///< standard error of the mean of log(sample_s)
  std::int64_t workers = 0;
  double time_s = 0, sigma_s = 0;  ///< of an iteration
  double sample_s = 0;  ///< of the cluster for one sample; without a batch, of the iteration
  double speedup = 0, efficiency = 0;
  double compute_s = 0, other_s = 0, exposed_s = 0, waiting_s = 0;  ///< they add up to time_s
  std::optional<double> overlap;  ///< share of the communication that is hidden
  std::string link;               ///< the busiest one
  double utilisation = 0, link_bytes = 0;
};

/// What a study says, for its report: which of its axes is what is asked for, and who wins where.
/// Axes that are in none of the roles are averaged over, geometrically.
class Findings {
 public:
  /// Throws InputError if no point of the study has been run.
  Findings(Store& store, const Store::StudyInfo& study);

  [[nodiscard]] const std::vector<FoundPoint>& points() const { return points_; }

  /// Seeds of a point at most.
  [[nodiscard]] std::size_t seeds() const { return seeds_; }

  /// Indices of axes. `contender`: what wins or loses, the schedule where there is one. `across` and
  /// `down`: of the winner map, bandwidth and number of workers where they are axes.
  std::size_t contender = 0;
  std::optional<std::size_t> across, down;

  /// Labels of an axis in the order of the study.
  [[nodiscard]] const std::vector<std::string>& labels(std::size_t axis) const {
    return labels_[axis];
  }
  /// Whether every label is a number, in SI base units; then numbers(axis) has them.
  [[nodiscard]] bool numeric(std::size_t axis) const { return numeric_[axis]; }
  [[nodiscard]] const std::vector<double>& numbers(std::size_t axis) const {
    return numbers_[axis];
  }

  /// Points of one contender at one place of the map (indices of labels).
  [[nodiscard]] std::vector<const FoundPoint*> at(std::size_t contender_label,
                                                  std::size_t across_label,
                                                  std::size_t down_label) const;
  [[nodiscard]] std::size_t across_count() const { return across ? labels_[*across].size() : 1; }
  [[nodiscard]] std::size_t down_count() const { return down ? labels_[*down].size() : 1; }

  struct Cell {
    std::optional<std::size_t> winner, second;  ///< labels of the contender's axis
    double ratio = 1;                           ///< time of the second over that of the winner
    double sigma = 0;  ///< of its logarithm: inputs that move both alike do not move it
    /// The interval of the ratio, one sigma, is above 1.
    [[nodiscard]] bool clear() const;
  };
  [[nodiscard]] const Cell& cell(std::size_t across_label, std::size_t down_label) const {
    return cells_[down_label * across_count() + across_label];
  }
  /// The winner at most places and how it does against the one that comes next, over all places
  /// that both have.
  struct Overall {
    std::size_t winner = 0, places = 0, won = 0;
    std::optional<std::size_t> second;
    double ratio = 1, sigma = 0;
  };
  [[nodiscard]] const Overall& overall() const { return overall_; }

 private:
  void merge_seeds(const std::vector<std::string>& axes);
  void choose_roles(const std::vector<std::string>& axes);
  void find_winners(const Store& store);
  // Geometric mean of sample_s, and by input what one sigma of it does to its logarithm.
  struct Score {
    double log_s = 0;
    std::map<std::string, double> influences;
    double variance = 0;  ///< of log_s over the seeds
  };
  [[nodiscard]] std::optional<Score> score(const Store& store,
                                           const std::vector<const FoundPoint*>& points) const;
  static double sigma_of_ratio(const Score& a, const Score& b);

  std::vector<FoundPoint> points_;
  std::size_t seeds_ = 1;
  std::vector<std::vector<std::string>> labels_;
  std::vector<std::vector<double>> numbers_;
  std::vector<bool> numeric_;
  std::map<std::vector<std::size_t>, std::vector<const FoundPoint*>> index_;
  std::vector<Cell> cells_;
  Overall overall_;
};

}  // namespace paceline
