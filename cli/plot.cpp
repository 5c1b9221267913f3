#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/json.hpp"
#include "cli/plot/png.hpp"
#include "cli/plot/svg_plot.hpp"
#include "commands.hpp"
#include "experiments/over_seeds.hpp"
#include "experiments/training.hpp"
#include "plot_figures.hpp"
#include "report.hpp"
#include "training_report.hpp"

namespace paceline {
namespace {

struct PlotCommand {
  std::vector<std::string> files, only, lines;
  std::string out, x = "time", y = "loss", title;
  std::int64_t smooth = 1;
  bool log = false;
  std::optional<double> target, y_from;
};

// A result is a comparison of one row.
Comparison comparison_of(const std::string& file, bool several_files) {
  const Json json = load_json(file);
  const Json format = json.is_object() ? json.value("format", Json()) : Json();
  Comparison comparison;
  if (format == "paceline-result-1") {
    RunResult result = result_from_json(json, file);
    std::string name = fmt::format("{}, {} workers", result.job.schedule, result.job.workers);
    if (several_files) name += " (" + file + ")";
    comparison.axes = {"run"};
    comparison.rows.push_back({{std::move(name)}, std::move(result)});
  } else if (format == "paceline-comparison-1") {
    comparison = comparison_from_json(json, file);
  } else {
    throw InputError(
        fmt::format("{}: $.format: expected \"paceline-result-1\" or \"paceline-comparison-1\", as "
                    "'run --json' and 'compare --json' print",
                    file));
  }
  for (const ComparedRow& row : comparison.rows)
    if (!row.result.job.training)
      throw InputError(fmt::format("{}: '{}' trained no real values: run it with --numerics", file,
                                   fmt::join(row.labels, ", ")));
  return comparison;
}

// "data=IID" as axis and label, both of which there must be.
std::pair<std::string, std::string> choice_of(const Comparison& comparison,
                                              const std::string& choice) {
  const auto equals = choice.find('=');
  if (equals == std::string::npos)
    throw InputError(fmt::format("--only {}: expected AXIS=LABEL", choice));
  const std::string axis = choice.substr(0, equals), label = choice.substr(equals + 1);
  const auto found = std::find(comparison.axes.begin(), comparison.axes.end(), axis);
  if (found == comparison.axes.end())
    throw InputError(
        fmt::format("--only {}: {}", choice, unknown_name("axis", axis, comparison.axes)));
  const auto at = found - comparison.axes.begin();
  std::vector<std::string> labels;
  for (const ComparedRow& row : comparison.rows)
    if (const std::string& own = row.labels[static_cast<std::size_t>(at)];
        std::find(labels.begin(), labels.end(), own) == labels.end())
      labels.push_back(own);
  if (std::find(labels.begin(), labels.end(), label) == labels.end())
    throw InputError(fmt::format("--only {}: {}", choice, unknown_name("label", label, labels)));
  return {axis, label};
}

// "data=IID": keeps the rows with that label, and drops the axis unless it has several choices.
void keep_only(Comparison& comparison, const std::vector<std::string>& choices) {
  std::vector<std::pair<std::string, std::vector<std::string>>> by_axis;
  for (const std::string& choice : choices) {
    const auto [axis, label] = choice_of(comparison, choice);
    const auto found =
        std::find_if(by_axis.begin(), by_axis.end(),
                     [&, &name = axis](const auto& known) { return known.first == name; });
    if (found != by_axis.end())
      found->second.push_back(label);
    else
      by_axis.push_back({axis, {label}});
  }
  for (const auto& [axis, labels] : by_axis) {
    const auto at =
        std::find(comparison.axes.begin(), comparison.axes.end(), axis) - comparison.axes.begin();
    std::erase_if(comparison.rows, [at, &wanted = labels](const ComparedRow& row) {
      return std::find(wanted.begin(), wanted.end(), row.labels[static_cast<std::size_t>(at)]) ==
             wanted.end();
    });
    if (labels.size() > 1) continue;
    comparison.axes.erase(comparison.axes.begin() + at);
    for (ComparedRow& row : comparison.rows) row.labels.erase(row.labels.begin() + at);
  }
}

// Each point the mean of the last `window` ones.
std::vector<CurvePoint> smoothed(std::vector<CurvePoint> points, std::size_t window) {
  const std::vector<CurvePoint> raw = points;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const std::size_t first = i + 1 > window ? i + 1 - window : 0;
    double sum = 0;
    for (std::size_t j = first; j <= i; ++j) sum += raw[j].y;
    points[i].y = sum / static_cast<double>(i + 1 - first);
  }
  return points;
}

std::vector<CurvePoint> curve_of(const TrainingOutcome& training, const PlotCommand& command) {
  std::vector<CurvePoint> points;
  const auto add = [&](const auto& point, double y) {
    const auto step = static_cast<double>(point.step);
    points.push_back({point.step, command.x == "time" ? point.time_s : step, y});
  };
  if (command.y == "accuracy")
    for (const EvaluationPoint& point : training.evaluations) add(point, 100 * point.accuracy);
  else if (command.y == "test-loss")
    for (const EvaluationPoint& point : training.evaluations) add(point, point.loss);
  else
    for (const LossPoint& point : training.steps) add(point, point.loss);
  return command.y == "loss" ? smoothed(std::move(points), static_cast<std::size_t>(command.smooth))
                             : points;
}

PlotSeries series_of(const SeedGroup& group, const PlotCommand& command) {
  std::vector<std::vector<CurvePoint>> curves;
  PlotSeries series{fmt::format("{}", fmt::join(group.labels, ", ")), {}, {}, {}, {}};
  for (const ComparedRow* row : group.rows) {
    const TrainingOutcome& training = *row->result.job.training;
    curves.push_back(curve_of(training, command));
    if (training.diverged_step)
      series.name += fmt::format(" (diverged at {})", *training.diverged_step);
  }
  SpreadCurve curve = spread_curve(curves);
  series.x = std::move(curve.x);
  series.y = std::move(curve.mean);
  if (curves.size() > 1) {
    series.least = std::move(curve.least);
    series.most = std::move(curve.most);
  }
  return series;
}

void save_picture(const std::string& file, const std::string& svg) {
  save_text(file, file.ends_with(".png") ? png_picture(svg) : svg);
}

void check_ending(const std::string& file) {
  if (!file.ends_with(".svg") && !file.ends_with(".png"))
    throw InputError(fmt::format("--out {}: expected a name that ends in .svg or .png", file));
}

constexpr std::size_t kMostBars = 100;  // of a picture

// Those with the shortest iterations, in their order. Returns how many there were.
std::size_t keep_fastest(Comparison& comparison) {
  const std::size_t all = comparison.rows.size();
  if (all <= kMostBars) return all;
  std::vector<std::size_t> order(all);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return comparison.rows[a].result.job.iteration_time_s <
           comparison.rows[b].result.job.iteration_time_s;
  });
  order.resize(kMostBars);
  std::sort(order.begin(), order.end());
  std::vector<ComparedRow> kept;
  for (const std::size_t i : order) kept.push_back(std::move(comparison.rows[i]));
  comparison.rows = std::move(kept);
  return all;
}

// A comparison without trainings: where the time goes, as stacked bars. False if it has some.
bool plot_of_times(const PlotCommand& command) {
  const Json json = load_json(command.files.front());
  if (!json.is_object() || json.value("format", Json()) != "paceline-comparison-1") return false;
  Comparison comparison = comparison_from_json(json, command.files.front());
  if (comparison.rows.empty() ||
      std::any_of(comparison.rows.begin(), comparison.rows.end(),
                  [](const ComparedRow& row) { return row.result.job.training.has_value(); }))
    return false;
  keep_only(comparison, command.only);
  std::string title = command.title.empty() ? comparison.name : command.title;
  if (const std::size_t all = keep_fastest(comparison); all > kMostBars)
    title += fmt::format("{}the {} fastest of {}", title.empty() ? "" : ": ", kMostBars, all);
  BarChart chart{
      std::move(title),
      "time of an iteration (ms)",
      {"compute", "update, sparsification and arithmetic", "exposed communication", "waiting"},
      {}};
  for (const ComparedRow& row : comparison.rows) {
    const JobOutcome& job = row.result.job;
    BarRow bar;
    bar.group = row.labels.size() > 1
                    ? fmt::format("{}", fmt::join(row.labels.begin(), row.labels.end() - 1, ", "))
                    : "";
    bar.name = row.labels.empty() ? job.schedule : row.labels.back();
    for (const double seconds :
         {job.time.compute_s(),
          job.time.update_s + job.time.sparsification_s + job.time.arithmetic_s,
          job.time.exposed_communication_s + job.time.exposed_copies_s, job.time.waiting_s})
      bar.parts.push_back(1e3 * seconds);
    bar.value = fmt::format("{}, {:.0f} % efficiency",
                            seconds_like(job.iteration_time_s, job.iteration_time_s),
                            100 * job.scaling_efficiency);
    chart.rows.push_back(std::move(bar));
  }
  save_picture(command.out, svg_bar_chart(chart));
  fmt::print("written {}\n", command.out);
  return true;
}

// Any figure over any axis.
void plot_of_figures(const PlotCommand& command) {
  if (command.x == "time")
    throw InputError("--x: a figure is drawn over an axis or another figure: --x nodes");
  const FigureCurves curves =
      figure_curves(read_figures(command.files),
                    {command.x, command.y, command.lines, command.only, command.target});
  PlotOptions options{command.title, curves.x_label, curves.y_label, true,
                      command.log,   command.target, command.y_from};
  save_picture(command.out, svg_line_chart(curves.series, options));
  fmt::print("{}written {}\n", curves.reached, command.out);
}

void check_training_axes(const PlotCommand& command) {
  if (command.x != "time" && command.x != "iterations")
    throw InputError(fmt::format(
        "--x {}: expected time or iterations, or a figure as --y: efficiency", command.x));
  if (!command.lines.empty())
    throw InputError("--lines: is of figures (--y efficiency, with --x nodes)");
  if (command.target && !(*command.target >= 0 && *command.target <= 1))
    throw InputError(fmt::format("--target {}: expected an accuracy from 0 to 1", *command.target));
}

void plot(const PlotCommand& command) {
  check_ending(command.out);
  check_writable("--out", command.out);
  if (is_figure(command.y)) return plot_of_figures(command);
  check_training_axes(command);
  if (command.files.size() == 1 && plot_of_times(command)) return;
  std::vector<PlotSeries> series;
  std::set<std::string> titles;
  std::string tables;
  bool spread = false;
  for (const std::string& file : command.files) {
    Comparison comparison = comparison_of(file, command.files.size() > 1);
    keep_only(comparison, command.only);
    for (ComparedRow& row : comparison.rows) {
      JobOutcome& job = row.result.job;
      titles.insert(fmt::format("{} on {}, {} workers, {}", job.model, job.training->data,
                                job.workers, row.result.cluster));
      if (command.target) find_target(*job.training, command.target);
    }
    const OverSeeds groups = over_seeds(comparison);
    spread = spread || groups.seeds > 1;
    for (const SeedGroup& group : groups.groups) series.push_back(series_of(group, command));
    const std::string seeds = seeds_report(comparison);
    tables += seeds.empty() && command.target ? targets_report(comparison) : seeds;
  }
  PlotOptions options;
  options.title =
      command.title.empty() ? fmt::format("{}", fmt::join(titles, "; ")) : command.title;
  options.x_label = command.x == "time" ? "simulated cluster time (s)" : "iterations";
  options.y_label = command.y == "accuracy"    ? "test accuracy (%)"
                    : command.y == "test-loss" ? "test loss"
                                               : "training loss";
  if (command.y == "loss" && command.smooth > 1)
    options.y_label += fmt::format(" (mean of {} steps)", command.smooth);
  if (spread) options.y_label += "; mean and range over seeds";
  options.markers = command.y != "loss";
  options.log_x = command.log;
  options.y_from = command.y_from;
  save_picture(command.out, svg_line_chart(series, options));
  std::cout << tables;
  fmt::print("written {}\n", command.out);
}

}  // namespace

void add_plot(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "plot",
      "Draw trainings' loss or accuracy against simulated time, where a comparison's time goes, or "
      "any figure over any axis");
  command->footer(
      "Runs that differ in the axis \"seed\" alone become one line with a band from the least to\n"
      "the most, and a table of their times to the target.\n\n"
      "Examples:\n"
      "  paceline compare first-question --json > times.json\n"
      "  paceline plot times.json --out times.svg\n"
      "  paceline compare -m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary 'nodes[0].count=2,4,8,16' "
      "--vary network.bandwidth=1Gbps,10Gbps --json > nodes.json\n"
      "  paceline plot nodes.json --x nodes --y efficiency --lines network --target 0.9 --out "
      "nodes.svg\n"
      "  paceline run -m lenet5 -b 16 -c 16x1-1080ti-10gbe --numerics --json > run.json\n"
      "  paceline plot run.json --out loss.svg\n"
      "  paceline compare loss-vs-time-short --json > all.json\n"
      "  paceline plot all.json --out accuracy.png --y accuracy --log\n"
      "  paceline plot lenet.json --only data=IID --target 0.9 --y accuracy --out iid.svg");
  const auto options = std::make_shared<PlotCommand>();
  command
      ->add_option(
          "files", options->files,
          "results and comparisons, as --json prints them; of figures also stores of 'sweep' (.db)")
      ->required();
  command->add_option("-o,--out", options->out, "SVG (or .png) file to write")->required();
  command->add_option("--x", options->x,
                      "time or iterations of trainings; of figures an axis, or workers (time)");
  command->add_option(
      "--y", options->y,
      "loss (of training), accuracy or test-loss (of the evaluations); or a figure: "
      "efficiency, speedup, iteration, throughput, exposed, any column of 'query'");
  command
      ->add_option("--lines", options->lines,
                   "axes with a curve for each value: network (all along which rows differ)")
      ->delimiter(',');
  command->add_flag("--log", options->log, "logarithmic x axis");
  command->add_option("--only", options->only,
                      "AXIS=LABEL: the rows of a comparison that have this label (or these, if "
                      "given several times)");
  command->add_option("--y-from", options->y_from, "where the y axis begins: 80 (all is shown)");
  command->add_option(
      "--target", options->target,
      "accuracy whose date the table tells; of figures a line, and how far it is held");
  command->add_option("--smooth", options->smooth, "mean of so many steps' losses (1: none)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--title", options->title, "(the models, data sets and clusters)");
  command->callback([options] { plot(*options); });
}

}  // namespace paceline
