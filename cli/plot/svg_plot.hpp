#pragma once

#include <optional>
#include <string>
#include <vector>

namespace paceline {

/// One line of a chart; x and y equally long, x not falling. With `least` and `most`, as long as y,
/// a band around it.
struct PlotSeries {
  std::string name;
  std::vector<double> x, y, least{}, most{};
};

struct PlotOptions {
  std::string title, x_label, y_label;
  bool markers = false;            ///< a dot at each point
  bool log_x = false;              ///< logarithmic; points at x <= 0 are left out
  std::optional<double> target{};  ///< a line across
  std::optional<double> y_from{};  ///< where the y axis begins; what is below is cut off
};

/// A line chart as an SVG document; every line has its name at its end, in its colour and form.
/// Throws InputError if no series has a point.
std::string svg_line_chart(const std::vector<PlotSeries>& series, const PlotOptions& options);

/// One bar: its parts one after the other; rows of one group stand together under its name.
struct BarRow {
  std::string group, name;
  std::vector<double> parts;
  std::string value;  ///< written at its end
};

struct BarChart {
  std::string title, axis;         ///< axis: what is measured, with its unit
  std::vector<std::string> parts;  ///< names, in the order of BarRow::parts
  std::vector<BarRow> rows;
};

/// Horizontal stacked bars, all on one scale with an axis, as an SVG document. Throws InputError
/// without a row.
std::string svg_bar_chart(const BarChart& chart);

}  // namespace paceline
