#pragma once

#include <cstdint>
#include <vector>

#include "sim/job.hpp"

namespace paceline {

/// Recognises that a job repeats itself: three cycles in a row of equal length, with equal sums of
/// event dates on every worker (relative to the cycle's start), equal phase keys and equal
/// operations in flight.
class SteadyState {
 public:
  explicit SteadyState(const Job& job);
  /// Every worker has passed border `completed`, the last of a cycle, at `now`. True if the cycle is
  /// the third of its kind in a row.
  bool passed(std::int64_t completed, double now);
  /// It is like the one before.
  [[nodiscard]] bool likely() const { return likely_; }
  [[nodiscard]] std::int64_t cycle() const { return cycle_; }

 private:
  struct Cycle {
    double length = 0;
    std::vector<double> fingerprints;  // by worker
    std::vector<std::int64_t> phases;  // by worker
    std::size_t open = 0;
  };
  static bool equal(const Cycle& a, const Cycle& b);

  const Job& job_;
  std::int64_t cycle_;
  double start_ = 0;
  bool likely_ = false;
  std::vector<Cycle> cycles_;  // the last three
};

}  // namespace paceline
