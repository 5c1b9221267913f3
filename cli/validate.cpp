#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "cli/plot/svg_scatter.hpp"
#include "commands.hpp"
#include "experiments/validate.hpp"
#include "options.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct ValidateOptions {
  OutputOptions output;
  std::vector<std::string> sets;
  std::string plot;
  bool rows = false;
  unsigned jobs = std::thread::hardware_concurrency();
};

constexpr std::size_t kWorst = 3;

std::string error_percent(double share) {
  return fmt::format("{:.1f}", 100 * share);
}

std::string of_none(const ErrorSummary& summary, const std::string& text) {
  return summary.rows == 0 ? "-" : text;
}

std::string sets_table(const std::vector<ReplayedSet>& sets) {
  Table table;
  table.column("set");
  for (const char* name : {"judged", "mean %", "median", "p90", "bias", "fitted on", "mean %",
                           "p90", "scaling", "mean %", "covered %", "bar"})
    table.column(name, Table::Align::right);
  for (const ReplayedSet& set : sets) {
    const ErrorSummary judged = set.judged(), training = set.training(), scaling = set.scaling();
    table.row(
        {set.set.name, fmt::format("{}", judged.rows), of_none(judged, error_percent(judged.mean)),
         of_none(judged, error_percent(judged.median)), of_none(judged, error_percent(judged.p90)),
         of_none(judged, fmt::format("{:+.1f}", 100 * set.bias())),
         fmt::format("{}", training.rows), of_none(training, error_percent(training.mean)),
         of_none(training, error_percent(training.p90)), fmt::format("{}", scaling.rows),
         of_none(scaling, error_percent(scaling.mean)),
         of_none(judged, fmt::format("{:.0f}", 100 * set.coverage())),
         !set.set.bar
             ? "-"
             : fmt::format("{}, {}{}", error_percent(set.set.bar->mean),
                           error_percent(set.set.bar->p90), set.within_bar() ? "" : " BEYOND")});
  }
  return table.text();
}

std::string rows_table(const std::vector<const ReplayedRow*>& rows) {
  Table table;
  table.column("row");
  for (const char* name : {"measured", "predicted", "+- (90 %)", "error %", "scaling %"})
    table.column(name, Table::Align::right);
  table.column("");
  for (const ReplayedRow* row : rows) {
    const double scale = row->row.measured_s;
    const auto scaling = row->scaling_error();
    const auto text = [&](double value) {
      return is_memory(row->row.measure) ? format_bytes(value) : seconds_like(value, scale);
    };
    table.row({row->row.id(), text(row->row.measured_s), text(row->predicted_s),
               text(kNinetyPercent * row->sigma_s), fmt::format("{:+.1f}", 100 * row->error()),
               scaling ? fmt::format("{:+.1f}", 100 * *scaling) : "-",
               row->row.training                             ? "fitted on"
               : row->row.category == RowCategory::predicted ? ""
                                                             : to_string(row->row.category)});
  }
  return table.text();
}

std::string report(const std::vector<ReplayedSet>& sets, bool all_rows) {
  std::vector<const ReplayedRow*> shown;
  for (const ReplayedSet& set : sets)
    for (const ReplayedRow& row : set.rows)
      if (all_rows || (!row.row.training && row.row.category != RowCategory::reported))
        shown.push_back(&row);
  std::string text = sets_table(sets);
  if (!all_rows) {
    const auto worse = [](const ReplayedRow* a, const ReplayedRow* b) {
      return std::abs(std::log(a->predicted_s / a->row.measured_s)) >
             std::abs(std::log(b->predicted_s / b->row.measured_s));
    };
    const std::size_t count = std::min(kWorst, shown.size());
    std::partial_sort(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(count),
                      shown.end(), worse);
    shown.resize(count);
    text += "\nFurthest off:\n";
  } else {
    text += "\n";
  }
  return text + rows_table(shown);
}

ScatterChart scatter(const std::vector<ReplayedSet>& sets) {
  ScatterChart chart{"Predicted against measured time of an iteration or all-reduce",
                     "measured, ms",
                     "predicted, ms",
                     "constants fitted on it",
                     {}};
  for (const ReplayedSet& set : sets) {
    ScatterGroup group{set.set.name, {}};
    for (const ReplayedRow& row : set.rows)
      if (row.row.category != RowCategory::reported && !is_memory(row.row.measure))
        group.points.push_back({1e3 * row.row.measured_s, 1e3 * row.predicted_s, row.row.training});
    if (!group.points.empty()) chart.groups.push_back(std::move(group));
  }
  return chart;
}

void check_bars(const std::vector<ReplayedSet>& sets) {
  std::vector<std::string> beyond;
  for (const ReplayedSet& set : sets)
    if (!set.within_bar()) beyond.push_back(set.set.name);
  if (!beyond.empty())
    throw CheckFailed(fmt::format("errors beyond the bar of: {}", fmt::join(beyond, ", ")));
}

void run(const ValidateOptions& options) {
  std::vector<PublishedSet> sets;
  for (const std::string& name : options.sets) sets.push_back(load_published(name));
  if (sets.empty()) sets = shipped_published();
  if (!options.plot.empty()) check_writable("--plot", options.plot);
  ReplaySettings settings{options.jobs, Json::object(), {}};
  settings.progress = [](std::size_t done, std::size_t all) {
    show_progress(fmt::format("{} of {} rows", done, all));
  };
  const std::vector<ReplayedSet> replayed = replay(std::move(sets), settings);
  end_progress();
  if (!options.plot.empty()) save_text(options.plot, svg_scatter_chart(scatter(replayed)));
  options.output.print(
      {[&] { return report(replayed, options.rows); }, [&] { return to_json(replayed); }});
  check_bars(replayed);
}

}  // namespace

void add_validate(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "validate", "Replay published measurements: how far off is the simulator?");
  command->footer(
      "Examples:\n"
      "  paceline validate\n"
      "  paceline validate --set ddl-2080ti-all-reduce --rows\n"
      "  paceline validate --plot predicted.svg --json > validation.json\n"
      "Exit code 3: the errors of a set's judged rows are beyond its bar.");
  const auto options = std::make_shared<ValidateOptions>();
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  command->add_option("--set", options->sets,
                      "a set of measurements ('paceline list measurements'), or a file of one");
  command->add_flag("--rows", options->rows, "print every row");
  command->add_option("--plot", options->plot, "predicted against measured, as SVG in this file");
  command->add_option("-j,--jobs", options->jobs, "simulations at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
