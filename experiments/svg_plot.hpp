#pragma once

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
  bool markers = false;  ///< a dot at each point
  bool log_x = false;    ///< logarithmic; points at x <= 0 are left out
};

/// A line chart as an SVG document; every line has its name at its end, in its colour and form.
/// Throws InputError if no series has a point.
std::string svg_line_chart(const std::vector<PlotSeries>& series, const PlotOptions& options);

}  // namespace paceline
