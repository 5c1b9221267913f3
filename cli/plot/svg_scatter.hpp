#pragma once

#include <string>
#include <vector>

namespace paceline {

struct ScatterPoint {
  double x = 0, y = 0;
  bool hollow = false;
};

/// Points of one colour, named in the legend.
struct ScatterGroup {
  std::string name;
  std::vector<ScatterPoint> points;
};

/// Both axes logarithmic and alike, with the line y = x and bands of 5 and 10 % about it.
struct ScatterChart {
  std::string title, x_label, y_label, hollow;  ///< hollow: what such points are
  std::vector<ScatterGroup> groups;
};

/// An SVG document. Throws InputError if no point has positive coordinates.
std::string svg_scatter_chart(const ScatterChart& chart);

}  // namespace paceline
