#pragma once

#include <string>
#include <vector>

namespace paceline {

/// One line of a chart; x and y equally long, x not falling.
struct PlotSeries {
  std::string name;
  std::vector<double> x, y;
};

struct PlotOptions {
  std::string title, x_label, y_label;
  bool markers = false;  ///< a dot at each point
};

/// A line chart as an SVG document, with a legend beside it. Throws InputError if no series has a
/// point.
std::string svg_line_chart(const std::vector<PlotSeries>& series, const PlotOptions& options);

}  // namespace paceline
