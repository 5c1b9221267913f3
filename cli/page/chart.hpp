#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

// Charts of a page: SVG of 480 units' width that scales to its place. Marks have the classes "s0" to
// "s7" of their series; page.cpp has the colours.
namespace paceline::chart {

inline constexpr std::size_t kSeries = 8;  ///< told apart by colour; more are not drawn

struct Position {
  std::string label;
  std::optional<double> number;  ///< if all have one, the axis is of numbers, else of names
};

struct Line {
  std::string name;
  std::size_t series = 0;
  std::vector<std::optional<double>> values;  ///< one per position; absent: a gap
  std::vector<double> sigmas;                 ///< half height of the band; empty: none
};

struct Lines {
  std::string title, across, up;  ///< of the chart, of its axes
  std::vector<Position> positions;
  std::vector<Line> lines;
  std::optional<double> most;  ///< the vertical axis ends there
  bool logarithmic = false;    ///< the vertical axis
};
std::string svg(const Lines& lines);

/// A winner by cell.
struct Map {
  struct Cell {
    std::size_t series = 0;
    std::string text, tooltip;
    bool clear = true;  ///< else hatched
    bool empty = false;
  };
  std::string title, across, down;
  std::vector<std::string> columns, rows;
  std::vector<Cell> cells;  ///< row by row
};
std::string svg(const Map& map);

/// Stacked bars, one a row.
struct Bars {
  struct Bar {
    std::string name;
    std::vector<double> parts;
  };
  std::string title, unit;
  std::vector<std::string> parts;  ///< names
  std::vector<Bar> bars;
};
std::string svg(const Bars& bars);

/// Curves of points of their own, both axes of numbers.
struct Curves {
  struct Curve {
    std::string name;
    std::size_t series = 0;
    std::vector<std::pair<double, double>> points;
    bool dots_only = false;  ///< no line through them
  };
  std::string title, across, up;
  std::vector<Curve> curves;
  bool diagonal = false;  ///< a line where both are the same; then both axes have one scale
};
std::string svg(const Curves& curves);

/// What runs when: a row of lanes for each name.
struct Gantt {
  struct Span {
    double from = 0, until = 0;
    std::size_t part = 0;  ///< colour, as of Bars
    std::string tooltip;
  };
  struct Lane {
    std::string name;
    std::vector<Span> spans;
  };
  std::string title, unit;
  double length = 0;
  std::vector<Lane> lanes;
};
std::string svg(const Gantt& gantt);

/// What each input does, both ways, largest first.
struct Tornado {
  struct Row {
    std::string name;
    double change = 0;
  };
  std::string title, unit;
  std::vector<Row> rows;
};
std::string svg(const Tornado& tornado);

}  // namespace paceline::chart
