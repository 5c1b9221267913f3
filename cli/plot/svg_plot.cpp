#include "cli/plot/svg_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "cli/plot/svg_parts.hpp"

namespace paceline {
namespace {

using namespace svg;

constexpr double kWidth = 960, kPlotHeight = 425;
constexpr double kLeft = 80, kTop = 50, kBottom = 65;
constexpr double kLabelRow = 17, kLabelLetter = 6.9, kLeader = 26, kLabelKey = 30;
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
  double right, bottom;  // of the drawing
  [[nodiscard]] double at_x(double value) const { return kLeft + x.share(value) * (right - kLeft); }
  [[nodiscard]] double at_y(double value) const {
    return bottom - y.share(value) * (bottom - kTop);
  }
};

std::string axes(const Frame& frame, const PlotOptions& options) {
  const double floor = frame.bottom;
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
  if (options.target)
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{2:.1f}\" y2=\"{1:.1f}\" stroke=\"#777\" "
        "stroke-dasharray=\"3 3\"/>\n",
        kLeft, frame.at_y(*options.target), frame.right);
  svg += fmt::format(
      "<path d=\"M{0:.1f} {1:.1f}V{2:.1f}H{3:.1f}\" fill=\"none\" "
      "stroke=\"#444\"/>\n",
      kLeft, kTop, floor, frame.right);
  svg += text_at((kLeft + frame.right) / 2, floor + 47, "middle", options.x_label);
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

std::string colour_of(std::size_t number) {
  return kColours[number % kColours.size()];
}

std::string points_text(const std::vector<double>& x, const std::vector<double>& y,
                        const Frame& frame, bool backwards = false) {
  std::string text;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t at = backwards ? x.size() - 1 - i : i;
    text += fmt::format("{}{:.2f},{:.2f}", i == 0 ? "" : " ", frame.at_x(x[at]), frame.at_y(y[at]));
  }
  return text;
}

std::string band(const PlotSeries& series, std::size_t number, const Frame& frame) {
  if (series.least.empty()) return "";
  return fmt::format("<polygon points=\"{} {}\" fill=\"{}\" fill-opacity=\"0.18\"/>\n",
                     points_text(series.x, series.most, frame),
                     points_text(series.x, series.least, frame, true), colour_of(number));
}

std::string line(const PlotSeries& series, std::size_t number, const Frame& frame, bool markers) {
  std::string dots;
  if (markers)
    for (std::size_t i = 0; i < series.x.size(); ++i)
      dots += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"2.2\" fill=\"{}\"/>\n",
                          frame.at_x(series.x[i]), frame.at_y(series.y[i]), colour_of(number));
  return fmt::format("<polyline points=\"{}\" {} stroke-linejoin=\"round\"/>\n",
                     points_text(series.x, series.y, frame), stroke_of(number)) +
         dots;
}

// Where the names stand: near the ends of their lines, in the same order, none over another.
std::vector<double> label_heights(const std::vector<double>& wanted, double most) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
  std::vector<double> heights(wanted.size());
  double free = kTop;
  for (const std::size_t i : order) {
    heights[i] = std::max(wanted[i], free);
    free = heights[i] + kLabelRow;
  }
  double limit = most;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    heights[*i] = std::min(heights[*i], limit);
    limit = heights[*i] - kLabelRow;
  }
  return heights;
}

std::string labels(const std::vector<PlotSeries>& series, const Frame& frame) {
  std::vector<double> ends;
  for (const PlotSeries& one : series)
    ends.push_back(one.y.empty() ? frame.bottom : std::min(frame.bottom, frame.at_y(one.y.back())));
  const std::vector<double> heights = label_heights(ends, frame.bottom);
  std::string svg;
  for (std::size_t i = 0; i < series.size(); ++i) {
    const double y = heights[i], key = frame.right + kLeader;
    if (!series[i].x.empty())
      svg += fmt::format(
          "<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}L{:.1f} {:.1f}\" fill=\"none\" stroke=\"{}\" "
          "stroke-width=\"0.7\" stroke-opacity=\"0.55\"/>\n",
          frame.at_x(series[i].x.back()), ends[i], frame.right + 4, ends[i], key, y, colour_of(i));
    svg += fmt::format("<path d=\"M{:.1f} {:.1f}h22\" {}/>\n", key, y, stroke_of(i));
    svg += text_at(key + kLabelKey, y + 4.5, "start", series[i].name);
  }
  return svg;
}

PlotSeries positive(const PlotSeries& series) {
  PlotSeries kept{series.name, {}, {}, {}, {}};
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (series.x[i] <= 0) continue;
    kept.x.push_back(series.x[i]);
    kept.y.push_back(series.y[i]);
    if (series.least.empty()) continue;
    kept.least.push_back(series.least[i]);
    kept.most.push_back(series.most[i]);
  }
  return kept;
}

// The x of what is not below the drawing.
std::vector<double> shown(const PlotSeries& series, const std::optional<double>& y_from) {
  std::vector<double> xs;
  const std::vector<double>& top = series.most.empty() ? series.y : series.most;
  for (std::size_t i = 0; i < series.x.size(); ++i)
    if (!y_from || top[i] >= *y_from) xs.push_back(series.x[i]);
  return xs;
}

}  // namespace

std::string svg_line_chart(const std::vector<PlotSeries>& given, const PlotOptions& options) {
  std::vector<PlotSeries> series;
  for (const PlotSeries& one : given) series.push_back(options.log_x ? positive(one) : one);
  Range xs, ys;
  std::size_t letters = 0;
  for (const PlotSeries& one : series) {
    xs.take(shown(one, options.y_from));
    for (const std::vector<double>* values : {&one.y, &one.least, &one.most}) ys.take(*values);
    letters = std::max(letters, one.name.size());
  }
  if (options.target) ys.take({*options.target});
  if (xs.least > xs.most) throw InputError("nothing to plot: no run has a point");
  const double names =
      kLeader + kLabelKey + std::min(360.0, kLabelLetter * static_cast<double>(letters));
  const double height =
      std::max(kPlotHeight, kLabelRow * static_cast<double>(series.size())) + kTop + kBottom;
  const Frame frame{
      Axis(options.log_x ? xs.least : std::min(0.0, xs.least), xs.most, 8, options.log_x),
      Axis(std::min(options.y_from.value_or(ys.least), ys.most), ys.most, 6), kWidth - 20 - names,
      height - kBottom};
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" font-size=\"13\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      kWidth, height);
  svg += axes(frame, options);
  const std::string inside = " clip-path=\"url(#inside)\"";
  if (options.y_from)
    svg += fmt::format(
        "<clipPath id=\"inside\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\"/></clipPath>\n",
        kLeft, kTop - 3, frame.right - kLeft + 3, frame.bottom - kTop + 3);
  const std::string group = fmt::format("<g{}>\n", options.y_from ? inside : "");
  svg += group;
  for (std::size_t i = 0; i < series.size(); ++i) svg += band(series[i], i, frame);
  svg += "</g>\n" + labels(series, frame) + group;
  for (std::size_t i = 0; i < series.size(); ++i) svg += line(series[i], i, frame, options.markers);
  svg += "</g>\n";
  return svg + "</svg>\n";
}

namespace {

constexpr double kBarRow = 22, kGroupGap = 26, kBarsWide = 470, kMostNames = 300, kValues = 190;
const std::vector<std::string> kBarColours{"#2b6cb0", "#63b3ed", "#dd6b20", "#a0aec0"};

std::string rectangle(double x, double y, double width, double height, const std::string& colour) {
  return fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"{}\"/>\n", x, y,
      width, height, colour);
}

std::string bar_legend(const BarChart& chart, double left, double top) {
  std::string svg;
  double x = left;
  for (std::size_t i = 0; i < chart.parts.size(); ++i) {
    svg += rectangle(x, top, 12, 12, kBarColours[i % kBarColours.size()]);
    svg += text_at(x + 17, top + 11, "start", chart.parts[i]);
    x += 42 + kLabelLetter * static_cast<double>(chart.parts[i].size());
  }
  return svg;
}

}  // namespace

std::string svg_bar_chart(const BarChart& chart) {
  if (chart.rows.empty()) throw InputError("nothing to plot: no row");
  double most = 0;
  std::size_t letters = 0, groups = 0;
  std::string group;
  for (const BarRow& row : chart.rows) {
    most = std::max(most, std::accumulate(row.parts.begin(), row.parts.end(), 0.0));
    letters = std::max(letters, row.name.size());
    if (!row.group.empty() && row.group != group) ++groups;
    group = row.group;
  }
  const double names = 24 + std::min(kMostNames, kLabelLetter * static_cast<double>(letters));
  const Axis scale(0, most, 8);
  const auto at = [&](double value) { return names + scale.share(value) * kBarsWide; };
  const double top = 76, bottom = top + kBarRow * static_cast<double>(chart.rows.size()) +
                                  kGroupGap * static_cast<double>(groups) + 6;
  std::string svg;
  for (const double tick : scale.ticks()) {
    svg += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#e4e4e4\"/>\n",
        at(tick), top, bottom);
    svg += text_at(at(tick), bottom + 17, "middle", scale.label(tick));
  }
  svg += text_at(names + kBarsWide / 2, bottom + 38, "middle", chart.axis);
  svg += text_at(16, 24, "start", chart.title, " font-size=\"16\" font-weight=\"600\"");
  svg += bar_legend(chart, 16, 40);
  double y = top;
  group.clear();
  for (const BarRow& row : chart.rows) {
    if (!row.group.empty() && row.group != group) {
      svg += text_at(16, y + 17, "start", row.group, " font-weight=\"600\"");
      y += kGroupGap;
    }
    group = row.group;
    svg += text_at(names - 8, y + 15, "end", row.name);
    double sum = 0;
    for (std::size_t i = 0; i < row.parts.size(); ++i) {
      const double width = at(sum + row.parts[i]) - at(sum);
      if (width > 0.05)
        svg += rectangle(at(sum), y + 2, width, kBarRow - 6, kBarColours[i % kBarColours.size()]);
      sum += row.parts[i];
    }
    svg += text_at(at(sum) + 6, y + 15, "start", row.value);
    y += kBarRow;
  }
  const double width = std::max(names + kBarsWide + kValues, 860.0), height = bottom + 50;
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
             "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\" "
             "font-size=\"13\">\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#fff\"/>\n",
             width, height) +
         svg + "</svg>\n";
}

}  // namespace paceline
