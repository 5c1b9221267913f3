#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/plot/svg_plot.hpp"

namespace paceline {

/// What results say, one a row: labels of the axes along which they differ, and figures.
struct FigureRows {
  std::vector<std::string> axes;     ///< the first columns
  std::vector<std::string> columns;  ///< all, axes too
  std::vector<std::vector<std::string>> cells;
};
/// Of results and comparisons (JSON) and stores of studies; of several files they must have the same
/// axes. Throws InputError.
FigureRows read_figures(const std::vector<std::string>& files);

struct FigurePlot {
  std::string x, y;                ///< names of columns, or enough of them
  std::vector<std::string> lines;  ///< axes; empty: all but x along which rows differ
  std::vector<std::string> only;   ///< AXIS=LABEL
  std::optional<double> target;
};

/// Is this a figure, and not the loss or accuracy of a training?
bool is_figure(const std::string& y);

struct FigureCurves {
  std::vector<PlotSeries> series;
  std::string x_label, y_label;
  std::string reached;  ///< with a target: a line for each curve
};
/// Throws InputError for what cannot be drawn: no number on the x axis, two values at one place.
FigureCurves figure_curves(FigureRows rows, const FigurePlot& plot);

}  // namespace paceline
