#pragma once

#include <cstddef>
#include <string>

namespace paceline {

/// Half the 95 % interval of the mean of `count` values, in units of their standard deviation s (of `count` - 1):
/// t / sqrt(count), with Student's t of `count` - 1 degrees of freedom at 97.5 %. Of one value there is none: 0.
double student95(std::size_t count);

/// Mean, deviation and interval of values that come one by one (Welford 1962).
class RunningMean {
 public:
  void add(double value);
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }
  /// Half the 95 % interval of the mean.
  [[nodiscard]] double half95() const;
  /// Standard error of the mean; 0 of one value.
  [[nodiscard]] double error() const;

 private:
  std::size_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

/// Whether an axis only says which random numbers are drawn: "seed", "training.seed".
bool is_seed_axis(const std::string& name);

}  // namespace paceline
