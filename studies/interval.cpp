#include "studies/interval.hpp"

#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace paceline {

double student95(std::size_t count) {
  if (count < 2) return 0;
  const boost::math::students_t distribution(static_cast<double>(count - 1));
  return boost::math::quantile(distribution, 0.975) / std::sqrt(static_cast<double>(count));
}

void RunningMean::add(double value) {
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
}

double RunningMean::error() const {
  if (count_ < 2) return 0;
  const auto count = static_cast<double>(count_);
  return std::sqrt(squares_ / (count - 1) / count);
}

double RunningMean::half95() const {
  return student95(count_) * error() * std::sqrt(static_cast<double>(count_));
}

bool is_seed_axis(const std::string& name) {
  return name == "seed" || name.ends_with(".seed");
}

}  // namespace paceline
