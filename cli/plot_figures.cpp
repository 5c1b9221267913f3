#include "plot_figures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "experiments/compare.hpp"
#include "studies/columns.hpp"
#include "studies/figures.hpp"
#include "studies/interval.hpp"
#include "studies/query.hpp"
#include "studies/store.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostLines = 60;  // that one can still tell apart

FigureRows rows_of(const Comparison& comparison) {
  FigureRows rows{comparison.axes, comparison.axes, {}};
  for (const Figure& figure : figures()) rows.columns.emplace_back(figure.name);
  for (const ComparedRow& row : comparison.rows) {
    std::vector<std::string> cells = row.labels;
    for (const Figure& figure : figures()) cells.push_back(to_text(figure.of(row.result)));
    rows.cells.push_back(std::move(cells));
  }
  return rows;
}

FigureRows rows_of_store(const std::string& file) {
  Store store(file, Database::Mode::read);
  FigureRows rows;
  rows.axes = store.studies().at(0).axes;
  ask(store, {},
      {[&](const std::vector<std::string>& columns) { rows.columns = columns; },
       [&](const std::vector<SqlValue>& values) {
         std::vector<std::string> cells;
         for (const SqlValue& value : values) cells.push_back(to_text(value));
         rows.cells.push_back(std::move(cells));
       }});
  return rows;
}

FigureRows rows_of_file(const std::string& file) {
  if (file.ends_with(".db")) return rows_of_store(file);
  const Json json = load_json(file);
  const Json format = json.is_object() ? json.value("format", Json()) : Json();
  if (format == "paceline-comparison-1") return rows_of(comparison_from_json(json, file));
  if (format != "paceline-result-1")
    throw InputError(
        fmt::format("{}: $.format: expected \"paceline-result-1\" or \"paceline-comparison-1\", as "
                    "--json prints them, or a store of 'sweep' that ends in .db",
                    file));
  Comparison one;
  one.axes = {"run"};
  one.rows.push_back({{file}, result_from_json(json, file)});
  return rows_of(one);
}

std::size_t column_of(const FigureRows& rows, const std::string& option, const std::string& name) {
  return column_index(rows.columns, rows.axes, name, option);
}

// "8", "10Gbps" (in Gbit/s), "50us" (in s), "25MiB" (in bytes).
double number_of(const std::string& text, const std::string& option) {
  double value = 0;
  const auto end = text.data() + text.size();
  if (std::from_chars(text.data(), end, value).ptr == end && !text.empty()) return value;
  using Parse = double (*)(std::string_view);
  static constexpr std::pair<Parse, double> kUnits[]{
      {parse_bandwidth, 8e-9}, {parse_duration, 1}, {parse_bytes, 1}, {parse_count, 1}};
  for (const auto& [parse, scale] : kUnits) {
    try {
      return parse(text) * scale;
    } catch (const InputError&) {
      continue;
    }
  }
  throw InputError(fmt::format("{}: '{}' is no number", option, text));
}

void keep_only(FigureRows& rows, const std::vector<std::string>& choices) {
  std::map<std::size_t, std::set<std::string>> wanted;
  for (const std::string& choice : choices) {
    const auto equals = choice.find('=');
    if (equals == std::string::npos)
      throw InputError(fmt::format("--only {}: expected AXIS=LABEL", choice));
    wanted[column_of(rows, "--only", choice.substr(0, equals))].insert(choice.substr(equals + 1));
  }
  for (const auto& [column, labels] : wanted)
    std::erase_if(rows.cells, [&, at = column, &any = labels](const auto& cells) {
      return !any.contains(cells[at]);
    });
  if (rows.cells.empty()) throw InputError("--only: no row is left");
}

// The axes, but for that of x and seeds, along which the rows differ.
std::vector<std::size_t> differing(const FigureRows& rows, std::size_t x) {
  std::vector<std::size_t> found;
  for (const std::string& axis : rows.axes) {
    const std::size_t at = column_of(rows, "axis", axis);
    const bool differs = std::any_of(rows.cells.begin(), rows.cells.end(), [&](const auto& cells) {
      return cells[at] != rows.cells.front()[at];
    });
    if (at != x && differs && !is_seed_axis(axis)) found.push_back(at);
  }
  return found;
}

std::vector<std::size_t> line_columns(const FigureRows& rows, const FigurePlot& plot,
                                      std::size_t x) {
  const std::vector<std::size_t> all = differing(rows, x);
  if (plot.lines.empty()) return all;
  std::vector<std::size_t> lines;
  for (const std::string& name : plot.lines) lines.push_back(column_of(rows, "--lines", name));
  for (const std::size_t other : all)
    if (std::find(lines.begin(), lines.end(), other) == lines.end())
      throw InputError(
          fmt::format("--lines: the rows differ in '{0}' too: choose one with --only {0}=..., or "
                      "name it in --lines",
                      rows.columns[other]));
  return lines;
}

// A time is to be short, everything else large. "bandwidth 10Gbps: 0.9 is held up to 32 (0.93)".
std::string reached_line(const PlotSeries& series, double target, bool time) {
  std::size_t held = 0;
  while (held < series.x.size() && (time ? series.y[held] <= target : series.y[held] >= target))
    ++held;
  const auto at = [&](std::size_t i) {
    return fmt::format("{:.6g} ({:.3g})", series.x[i], series.y[i]);
  };
  const std::string name = series.name.empty() ? "" : series.name + ": ";
  if (held == 0) return fmt::format("{}{:.4g} is not reached at {}\n", name, target, at(0));
  if (held == series.x.size())
    return fmt::format("{}{:.4g} is held up to the last, {}\n", name, target, at(held - 1));
  return fmt::format("{}{:.4g} is held up to {}, not at {}\n", name, target, at(held - 1),
                     at(held));
}

}  // namespace

FigureRows read_figures(const std::vector<std::string>& files) {
  FigureRows all;
  for (const std::string& file : files) {
    FigureRows rows = rows_of_file(file);
    if (all.columns.empty()) {
      all = std::move(rows);
      continue;
    }
    if (rows.columns != all.columns)
      throw InputError(fmt::format("{}: its axes are '{}', those of {} are '{}'", file,
                                   fmt::join(rows.axes, ", "), files.front(),
                                   fmt::join(all.axes, ", ")));
    all.cells.insert(all.cells.end(), rows.cells.begin(), rows.cells.end());
  }
  if (all.cells.empty()) throw InputError(fmt::format("{}: there are no rows", files.front()));
  return all;
}

bool is_figure(const std::string& y) {
  return y != "loss" && y != "accuracy" && y != "test-loss";
}

FigureCurves figure_curves(FigureRows rows, const FigurePlot& plot) {
  keep_only(rows, plot.only);
  const std::size_t x = column_of(rows, "--x", plot.x), y = column_of(rows, "--y", plot.y);
  const std::vector<std::size_t> lines = line_columns(rows, plot, x);
  const bool over_seeds = std::any_of(rows.axes.begin(), rows.axes.end(), is_seed_axis);
  std::vector<std::string> names;
  std::map<std::string, std::map<double, RunningMean>> points;
  std::size_t seeds = 1;
  for (const std::vector<std::string>& cells : rows.cells) {
    std::vector<std::string> of_line;
    for (const std::size_t line : lines) of_line.push_back(cells[line]);
    const std::string name = fmt::format("{}", fmt::join(of_line, ", "));
    if (!points.contains(name)) names.push_back(name);
    if (cells[y].empty()) continue;  // it has no such figure
    RunningMean& mean = points[name][number_of(cells[x], "--x " + plot.x)];
    mean.add(number_of(cells[y], "--y " + plot.y));
    seeds = std::max(seeds, mean.count());
    if (mean.count() > 1 && !over_seeds)
      throw InputError(fmt::format("--x {}: two rows of '{}' stand at {}", plot.x, name, cells[x]));
  }
  if (names.size() > kMostLines)
    throw InputError(fmt::format(
        "{} lines cannot be told apart ({} at most): choose with --only, or another axis as --x",
        names.size(), kMostLines));
  FigureCurves curves{{}, rows.columns[x], rows.columns[y], ""};
  if (seeds > 1) curves.y_label += "; mean and 95 % interval over seeds";
  if (rows.cells.front()[x].ends_with("bps")) curves.x_label += " (Gbit/s)";
  for (const std::string& name : names) {
    PlotSeries series{name, {}, {}, {}, {}};
    for (const auto& [at, mean] : points[name]) {
      series.x.push_back(at);
      series.y.push_back(mean.mean());
      if (seeds == 1) continue;
      series.least.push_back(mean.mean() - mean.half95());
      series.most.push_back(mean.mean() + mean.half95());
    }
    if (series.x.empty()) continue;
    if (plot.target)
      curves.reached +=
          reached_line(series, *plot.target,
                       rows.columns[y].ends_with("_s") && rows.columns[y] != "samples_per_s");
    curves.series.push_back(std::move(series));
  }
  return curves;
}

}  // namespace paceline
