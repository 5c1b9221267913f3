#include "cli/plot/svg_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace paceline::svg {

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20)
      safe += c;
  }
  return safe;
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, escaped(text));
}

Axis::Axis(double least, double most, int ticks, bool logarithmic) : log_(logarithmic) {
  if (log_) {
    least_ = std::log10(least);
    most_ = std::max(std::log10(most), least_ + 0.1);
    return;
  }
  if (most <= least) most = least + (least != 0 ? std::abs(least) : 1);
  const double rough = (most - least) / ticks;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double digit = rough / power;
  step_ = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
  least_ = step_ * std::floor(least / step_ + 1e-9);
  most_ = step_ * std::ceil(most / step_ - 1e-9);
}
double Axis::share(double value) const {
  return ((log_ ? std::log10(value) : value) - least_) / (most_ - least_);
}
std::vector<double> Axis::ticks() const {
  std::vector<double> values;
  if (log_) {
    for (double power = std::floor(least_); power <= most_; ++power)
      for (const double digit : {1.0, 2.0, 5.0})
        if (const double at = power + std::log10(digit); at >= least_ - 1e-9 && at <= most_ + 1e-9)
          values.push_back(digit * std::pow(10, power));
  } else {
    const auto count = static_cast<int>(std::lround((most_ - least_) / step_));
    for (int i = 0; i <= count; ++i) values.push_back(least_ + i * step_);
  }
  return values;
}
std::string Axis::label(double value) const {
  if (log_) return fmt::format("{:g}", value);
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step_) - 1e-9)));
  return step_ < 1e-5 || step_ >= 1e6 ? fmt::format("{:g}", value)
                                      : fmt::format("{:.{}f}", value, digits);
}

}  // namespace paceline::svg
