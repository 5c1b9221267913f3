#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calibrate/measure/measure.hpp"

namespace paceline {
namespace {

constexpr int kWidth = 30;
constexpr double kLeastFraction = 0.02;  // below it an estimate says nothing

std::string in_words(double seconds) {
  const auto s = static_cast<long long>(std::min(std::ceil(seconds), 1e9));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

}  // namespace

std::string progress_text(const MeasureProgress& progress) {
  const double fraction = std::clamp(progress.fraction, 0.0, 1.0);
  const int filled = static_cast<int>(fraction * kWidth);
  std::string text =
      fmt::format("[{:=<{}}{: <{}}] batch {}", "", filled, "", kWidth - filled, progress.batch);
  if (fraction >= kLeastFraction && std::isfinite(progress.left_seconds))
    text += fmt::format(", about {} left", in_words(std::max(0.0, progress.left_seconds)));
  return text;
}

}  // namespace paceline
