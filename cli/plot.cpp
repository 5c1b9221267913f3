#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <set>

#include "base/error.hpp"
#include "commands.hpp"
#include "experiments/result.hpp"
#include "experiments/svg_plot.hpp"
#include "output_file.hpp"

namespace paceline {
namespace {

struct PlotCommand {
  std::vector<std::string> files;
  std::string out, x = "time", y = "loss", title;
  std::int64_t smooth = 1;
};

struct NamedRun {
  std::string name;
  JobOutcome job;
};

// A result is one run, a comparison one per row.
std::vector<NamedRun> runs_of(const std::string& file) {
  const Json json = load_json(file);
  const Json format = json.is_object() ? json.value("format", Json()) : Json();
  std::vector<NamedRun> runs;
  if (format == "paceline-result-1") {
    RunResult result = result_from_json(json, file);
    runs.push_back({fmt::format("{}, {} workers", result.job.schedule, result.job.workers),
                    std::move(result.job)});
  } else if (format == "paceline-comparison-1") {
    for (const Json& row : json.at("rows")) {
      const auto labels = row.at("labels").get<std::vector<std::string>>();
      runs.push_back({fmt::format("{}", fmt::join(labels, ", ")),
                      result_from_json(row.at("result"), file).job});
    }
  } else {
    throw InputError(
        fmt::format("{}: $.format: expected \"paceline-result-1\" or \"paceline-comparison-1\", as "
                    "'run --json' and 'compare --json' print",
                    file));
  }
  for (const NamedRun& run : runs)
    if (!run.job.training)
      throw InputError(
          fmt::format("{}: '{}' trained no real values: run it with --numerics", file, run.name));
  return runs;
}

// Each point the mean of the last `window` ones.
std::vector<double> smoothed(const std::vector<double>& values, std::size_t window) {
  std::vector<double> means;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t first = i + 1 > window ? i + 1 - window : 0;
    double sum = 0;
    for (std::size_t j = first; j <= i; ++j) sum += values[j];
    means.push_back(sum / static_cast<double>(i + 1 - first));
  }
  return means;
}

PlotSeries series_of(const NamedRun& run, const PlotCommand& command) {
  const TrainingOutcome& training = *run.job.training;
  PlotSeries series;
  series.name = run.name;
  if (training.diverged_step)
    series.name += fmt::format(" (diverged at {})", *training.diverged_step);
  const auto add = [&](const auto& point, double y) {
    series.x.push_back(command.x == "time" ? point.time_s : static_cast<double>(point.step));
    series.y.push_back(y);
  };
  if (command.y == "accuracy") {
    for (const EvaluationPoint& point : training.evaluations) add(point, 100 * point.accuracy);
    return series;
  }
  for (const LossPoint& point : training.steps) add(point, point.loss);
  series.y = smoothed(series.y, static_cast<std::size_t>(command.smooth));
  return series;
}

void plot(const PlotCommand& command) {
  check_writable("--out", command.out);
  std::vector<NamedRun> runs;
  for (const std::string& file : command.files) {
    std::vector<NamedRun> found = runs_of(file);
    if (command.files.size() > 1 && found.size() == 1) found.front().name += " (" + file + ")";
    std::move(found.begin(), found.end(), std::back_inserter(runs));
  }
  std::vector<PlotSeries> series;
  std::set<std::string> titles;
  for (const NamedRun& run : runs) {
    series.push_back(series_of(run, command));
    titles.insert(fmt::format("{} on {}", run.job.model, run.job.training->data));
  }
  PlotOptions options;
  options.title =
      command.title.empty() ? fmt::format("{}", fmt::join(titles, "; ")) : command.title;
  options.x_label = command.x == "time" ? "simulated cluster time (s)" : "iterations";
  options.y_label = command.y == "accuracy" ? "test accuracy (%)" : "training loss";
  if (command.y == "loss" && command.smooth > 1)
    options.y_label += fmt::format(" (mean of {} steps)", command.smooth);
  options.markers = command.y == "accuracy";
  save_text(command.out, svg_line_chart(series, options));
}

}  // namespace

void add_plot(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "plot", "Draw loss or accuracy of trainings against simulated time or iterations");
  command->footer(
      "Examples:\n"
      "  paceline run -m lenet5 -b 16 -c 16x1-1080ti-10gbe --numerics --json > run.json\n"
      "  paceline plot run.json --out loss.svg\n"
      "  paceline compare loss-vs-time-short --json > all.json\n"
      "  paceline plot all.json --out accuracy.svg --y accuracy");
  const auto options = std::make_shared<PlotCommand>();
  command->add_option("files", options->files, "results and comparisons, as --json prints them")
      ->required();
  command->add_option("-o,--out", options->out, "SVG file to write")->required();
  command->add_option("--x", options->x, "time or iterations (time)")
      ->check(CLI::IsMember({"time", "iterations"}));
  command->add_option("--y", options->y, "loss (of training) or accuracy (of the evaluations)")
      ->check(CLI::IsMember({"loss", "accuracy"}));
  command->add_option("--smooth", options->smooth, "mean of so many steps' losses (1: none)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--title", options->title, "(the models and data sets)");
  command->callback([options] { plot(*options); });
}

}  // namespace paceline
