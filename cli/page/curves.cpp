#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/page/chart.hpp"
#include "cli/plot/svg_parts.hpp"

namespace paceline::chart {
namespace {

constexpr double kCurveWidth = 480, kGanttWidth = 960;

std::string begin_svg(const std::string& title, double width, double height) {
  return fmt::format("<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-label=\"{}\">\n", width,
                     height, svg::escaped(title));
}

struct Range {
  double least = INFINITY, most = -INFINITY;
  void add(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

}  // namespace

std::string svg(const Curves& curves) {
  constexpr double kLeft = 56, kRight = kCurveWidth - 14, kTop = 14, kBottom = 256, kHeight = 300;
  Range x, y;
  for (const Curves::Curve& curve : curves.curves)
    for (const auto& [a, b] : curve.points) {
      x.add(a);
      y.add(b);
    }
  if (!(x.least <= x.most)) x = y = {0, 1};
  if (curves.diagonal) {
    x = {0, std::max(x.most, y.most)};
    y = x;
  }
  const paceline::svg::Axis across(std::min(0.0, x.least), x.most, 5), up(y.least, y.most, 5);
  const auto x_of = [&](double value) {
    return kLeft + std::clamp(across.share(value), 0.0, 1.0) * (kRight - kLeft);
  };
  const auto y_of = [&](double value) {
    return kBottom - std::clamp(up.share(value), 0.0, 1.0) * (kBottom - kTop);
  };
  std::string text = begin_svg(curves.title, kCurveWidth, kHeight);
  for (const double tick : up.ticks()) {
    text +=
        fmt::format("<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n",
                    kLeft, kRight, y_of(tick));
    text += paceline::svg::text_at(kLeft - 6, y_of(tick) + 4, "end", up.label(tick));
  }
  for (const double tick : across.ticks())
    text += paceline::svg::text_at(x_of(tick), kBottom + 18, "middle", across.label(tick));
  text += paceline::svg::text_at((kLeft + kRight) / 2, kHeight - 6, "middle", curves.across,
                                 " class=\"axis\"");
  text += fmt::format(
      "<text class=\"axis\" transform=\"translate(12 {:.1f}) rotate(-90)\" "
      "text-anchor=\"middle\">{}</text>\n",
      (kTop + kBottom) / 2, paceline::svg::escaped(curves.up));
  if (curves.diagonal)
    text += fmt::format(
        "<line class=\"rule\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
        x_of(x.least), y_of(x.least), x_of(x.most), y_of(x.most));
  for (const Curves::Curve& curve : curves.curves) {
    std::string path, marks;
    for (const auto& [a, b] : curve.points) {
      path += fmt::format("{}{:.1f} {:.1f} ", path.empty() ? "M" : "L", x_of(a), y_of(b));
      if (curve.dots_only || curve.points.size() <= 40)
        marks += fmt::format(
            "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}: {:.4g}, "
            "{:.4g}</title></circle>",
            x_of(a), y_of(b), paceline::svg::escaped(curve.name), a, b);
    }
    text += fmt::format("<g class=\"line s{}\">{}{}</g>\n", curve.series,
                        curve.dots_only ? "" : fmt::format("<path d=\"{}\"/>", path), marks);
  }
  return text + "</svg>\n";
}

std::string svg(const Gantt& gantt) {
  constexpr double kLane = 20, kLeft = 118, kRight = kGanttWidth - 8, kTop = 4;
  const double bottom = kTop + kLane * static_cast<double>(gantt.lanes.size()),
               height = bottom + 24;
  const auto x_of = [&](double value) {
    return kLeft + std::clamp(value / gantt.length, 0.0, 1.0) * (kRight - kLeft);
  };
  std::string text = begin_svg(gantt.title, kGanttWidth, height);
  const paceline::svg::Axis across(0, gantt.length, 8);
  for (const double tick : across.ticks()) {
    if (tick > gantt.length) continue;
    text += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2:.1f}\"/>\n",
        x_of(tick), kTop, bottom);
    text += paceline::svg::text_at(x_of(tick), bottom + 16, "middle", across.label(tick));
  }
  for (std::size_t i = 0; i < gantt.lanes.size(); ++i) {
    const double y = kTop + kLane * static_cast<double>(i);
    text += paceline::svg::text_at(kLeft - 8, y + 14, "end", gantt.lanes[i].name);
    for (const Gantt::Span& span : gantt.lanes[i].spans)
      text += fmt::format(
          "<rect class=\"part p{}\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" "
          "height=\"{}\"><title>{}: "
          "{:.4g} to {:.4g} {}</title></rect>\n",
          span.part, x_of(span.from), y + 2, std::max(0.4, x_of(span.until) - x_of(span.from)),
          kLane - 4, paceline::svg::escaped(span.tooltip), span.from, span.until, gantt.unit);
  }
  return text + "</svg>\n";
}

}  // namespace paceline::chart
