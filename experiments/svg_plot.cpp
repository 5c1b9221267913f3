#include "experiments/svg_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr double kWidth = 960, kHeight = 540;
constexpr double kLeft = 80, kTop = 50, kBottom = 65;
constexpr double kLegendRow = 20, kLegendLetter = 6.8, kLegendKey = 34;
// Okabe and Ito's colours, which the colour-blind tell apart, black last; dashes when they repeat.
const std::vector<std::string> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                        "#e69f00", "#56b4e9", "#000000"};
const std::vector<std::string> kDashes{"", "7 4", "2 3"};

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

// Round values (1, 2 or 5 times a power of ten) that cover what is drawn.
class Axis {
 public:
  Axis(double least, double most, int ticks) {
    if (most <= least) most = least + (least != 0 ? std::abs(least) : 1);
    const double rough = (most - least) / ticks;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double digit = rough / power;
    step_ = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
    first_ = std::floor(least / step_ + 1e-9);
    last_ = std::ceil(most / step_ - 1e-9);
  }
  [[nodiscard]] double share(double value) const {
    return (value / step_ - first_) / (last_ - first_);
  }
  [[nodiscard]] std::vector<double> ticks() const {
    std::vector<double> values;
    for (double i = first_; i <= last_; ++i) values.push_back(i * step_);
    return values;
  }
  [[nodiscard]] std::string label(double value) const {
    const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step_) - 1e-9)));
    return step_ < 1e-5 || step_ >= 1e6 ? fmt::format("{:g}", value)
                                        : fmt::format("{:.{}f}", value, digits);
  }

 private:
  double step_ = 1, first_ = 0, last_ = 1;
};

struct Range {
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  void take(const std::vector<double>& values) {
    for (const double value : values) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
};

struct Frame {
  Axis x, y;
  double right;  // of the drawing
  [[nodiscard]] double at_x(double value) const { return kLeft + x.share(value) * (right - kLeft); }
  [[nodiscard]] double at_y(double value) const {
    return kHeight - kBottom - y.share(value) * (kHeight - kBottom - kTop);
  }
};

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, escaped(text));
}

std::string axes(const Frame& frame, const PlotOptions& options) {
  const double floor = kHeight - kBottom;
  std::string svg;
  for (const double tick : frame.x.ticks()) {
    const double x = frame.at_x(tick);
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#e4e4e4\"/>\n",
        x, kTop, floor);
    svg += text_at(x, floor + 20, "middle", frame.x.label(tick));
  }
  for (const double tick : frame.y.ticks()) {
    const double y = frame.at_y(tick);
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{2:.1f}\" y2=\"{1:.1f}\" stroke=\"#e4e4e4\"/>\n",
        kLeft, y, frame.right);
    svg += text_at(kLeft - 8, y + 4.5, "end", frame.y.label(tick));
  }
  svg += fmt::format(
      "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}\" fill=\"none\" "
      "stroke=\"#444\"/>\n",
      kLeft, kTop, floor, frame.right);
  svg += text_at((kLeft + frame.right) / 2, kHeight - 18, "middle", options.x_label);
  const double middle = (kTop + floor) / 2;
  svg += text_at(22, middle, "middle", options.y_label,
                 fmt::format(" transform=\"rotate(-90 22 {:.1f})\"", middle));
  svg += text_at((kLeft + frame.right) / 2, 28, "middle", options.title,
                 " font-size=\"16\" font-weight=\"600\"");
  return svg;
}

std::string stroke_of(std::size_t number) {
  const std::string& dash = kDashes[number / kColours.size() % kDashes.size()];
  return fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\"{}",
                     kColours[number % kColours.size()],
                     dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
}

std::string line(const PlotSeries& series, std::size_t number, const Frame& frame, bool markers) {
  std::string points, dots;
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    const double x = frame.at_x(series.x[i]), y = frame.at_y(series.y[i]);
    points += fmt::format("{}{:.2f},{:.2f}", i == 0 ? "" : " ", x, y);
    if (markers)
      dots += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"3\" fill=\"{}\"/>\n", x, y,
                          kColours[number % kColours.size()]);
  }
  return fmt::format("<polyline points=\"{}\" {} stroke-linejoin=\"round\"/>\n", points,
                     stroke_of(number)) +
         dots;
}

}  // namespace

std::string svg_line_chart(const std::vector<PlotSeries>& series, const PlotOptions& options) {
  Range xs, ys;
  std::size_t letters = 0;
  for (const PlotSeries& one : series) {
    xs.take(one.x);
    ys.take(one.y);
    letters = std::max(letters, one.name.size());
  }
  if (xs.least > xs.most) throw InputError("nothing to plot: no run has a point");
  const double legend = kLegendKey + std::min(300.0, kLegendLetter * static_cast<double>(letters));
  const Frame frame{Axis(std::min(0.0, xs.least), xs.most, 8), Axis(ys.least, ys.most, 6),
                    kWidth - 30 - legend - 10};
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      kWidth, kHeight);
  svg += axes(frame, options);
  for (std::size_t i = 0; i < series.size(); ++i) {
    svg += line(series[i], i, frame, options.markers);
    const double y = kTop + 10 + kLegendRow * static_cast<double>(i);
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}h24\" {}/>\n", frame.right + 20, y - 4.5,
                       stroke_of(i));
    svg += text_at(frame.right + 50, y, "start", series[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace paceline
