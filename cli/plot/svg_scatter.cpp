#include "cli/plot/svg_scatter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "cli/plot/svg_parts.hpp"

namespace paceline {
namespace {

using namespace svg;

constexpr double kSide = 560, kLeft = 80, kTop = 50, kLegend = 250, kBottom = 65;
constexpr double kRow = 19, kDigit = 7.5;

class Scatter {
 public:
  Scatter(double least, double most)
      : least_(least), most_(most), axis_(least, most, 6, /*logarithmic=*/true) {}

  [[nodiscard]] double x(double value) const { return kLeft + axis_.share(value) * kSide; }
  [[nodiscard]] double y(double value) const {
    return kTop + kSide - std::clamp(axis_.share(value), 0.0, 1.0) * kSide;
  }

  [[nodiscard]] std::string grid() const {
    std::string svg;
    double taken = 0;  // of the row of labels below
    for (const double tick : axis_.ticks()) {
      svg += fmt::format(
          "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {4:.1f}H{5:.1f}\" stroke=\"#e4e4e4\"/>\n",
          x(tick), kTop, kTop + kSide, kLeft, y(tick), kLeft + kSide);
      const std::string label = axis_.label(tick);
      svg += text_at(kLeft - 8, y(tick) + 4.5, "end", label);
      const double half = kDigit * static_cast<double>(label.size()) / 2;
      if (x(tick) - half < taken) continue;
      svg += text_at(x(tick), kTop + kSide + 20, "middle", label);
      taken = x(tick) + half + kDigit;
    }
    return svg;
  }

  // What lies within `share` of y = x.
  [[nodiscard]] std::string band(double share, const char* colour) const {
    return fmt::format(
        "<path d=\"M{0:.1f} {1:.1f}L{2:.1f} {3:.1f}L{2:.1f} {4:.1f}L{0:.1f} {5:.1f}Z\" "
        "fill=\"{6}\"/>\n",
        x(least_), y(least_ * (1 + share)), x(most_), y(most_ * (1 + share)),
        y(most_ * (1 - share)), y(least_ * (1 - share)), colour);
  }

  [[nodiscard]] std::string diagonal() const {
    return fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"#444\"/>\n", x(least_),
                       y(least_), x(most_), y(most_));
  }

 private:
  double least_, most_;
  Axis axis_;
};

std::string dot(double x, double y, std::size_t group, bool hollow) {
  const std::string& colour = kColours[group % kColours.size()];
  // Colours repeat as squares, then as diamonds.
  std::string form;
  switch (group / kColours.size() % 3) {
    case 0:
      form = fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.2\"", x, y);
      break;
    case 1:
      form = fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"6\" height=\"6\"", x - 3, y - 3);
      break;
    default:
      form = fmt::format("<path d=\"M{:.1f} {:.1f}l4 4 -4 4 -4 -4z\"", x, y - 4);
  }
  return form + fmt::format(" fill=\"{}\" fill-opacity=\"0.75\" stroke=\"{}\"/>\n",
                            hollow ? "none" : colour, colour);
}

}  // namespace

std::string svg_scatter_chart(const ScatterChart& chart) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (const ScatterGroup& group : chart.groups)
    for (const ScatterPoint& point : group.points) {
      if (!(point.x > 0 && point.y > 0)) continue;
      least = std::min({least, point.x, point.y});
      most = std::max({most, point.x, point.y});
    }
  if (most == 0) throw InputError("there is no point to draw");
  const Scatter frame(least / 1.15, most * 1.15);
  const double width = kLeft + kSide + kLegend;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" font-size=\"13\" "
      "fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      width, kTop + kSide + kBottom);
  svg +=
      frame.band(0.10, "#eef3f8") + frame.band(0.05, "#d5e3f0") + frame.grid() + frame.diagonal();
  double row = kTop + 12;
  for (std::size_t g = 0; g < chart.groups.size(); ++g, row += kRow) {
    for (const ScatterPoint& point : chart.groups[g].points)
      if (point.x > 0 && point.y > 0)
        svg += dot(frame.x(point.x), frame.y(point.y), g, point.hollow);
    svg += dot(kLeft + kSide + 18, row - 4, g, false);
    svg += text_at(kLeft + kSide + 30, row, "start", chart.groups[g].name);
  }
  for (const std::string& line :
       {std::string("bands: 5 and 10 %"), chart.hollow.empty() ? "" : "hollow: " + chart.hollow}) {
    row += kRow;
    if (!line.empty()) svg += text_at(kLeft + kSide + 14, row, "start", line);
  }
  const double middle = kTop + kSide / 2;
  svg += text_at(kLeft + kSide / 2, kTop + kSide + 47, "middle", chart.x_label);
  svg += text_at(22, middle, "middle", chart.y_label,
                 fmt::format(" transform=\"rotate(-90 22 {:.1f})\"", middle));
  svg += text_at(kLeft + kSide / 2, 28, "middle", chart.title,
                 " font-size=\"16\" font-weight=\"600\"");
  return svg + "</svg>\n";
}

}  // namespace paceline
