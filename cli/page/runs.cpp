#include "cli/page/runs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/page/chart.hpp"
#include "experiments/run.hpp"
#include "studies/sweep.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostEvents = 200'000;  // of a run that is drawn

// As the classes .p0 to .p3 of the bars: computation, other operations, communication.
std::size_t part_of(Activity activity) {
  return activity == Activity::forward || activity == Activity::backward ? 0 : 1;
}

// What follows on each other without a gap and is of one kind is one span.
void add_operations(const LayerLog& log, double from, double until, chart::Gantt::Lane& lane) {
  const LayerLog::Operation* before = nullptr;
  for (const LayerLog::Operation& o : log.operations) {
    if (o.ended <= from || o.started >= until) continue;
    const double begin = 1e3 * (std::max(o.started, from) - from),
                 end = 1e3 * (std::min(o.ended, until) - from);
    if (before != nullptr && before->activity == o.activity && before->ended == o.started)
      lane.spans.back().until = end;
    else
      lane.spans.push_back({begin, end, part_of(o.activity), to_string(o.activity)});
    before = &o;
  }
}

void add_transfers(const LayerLog& log, double from, double until, chart::Gantt::Lane& lane) {
  for (const LayerLog::Transfer& t : log.transfers) {
    if (t.ended <= from || t.started >= until) continue;
    lane.spans.push_back({1e3 * (std::max(t.started, from) - from),
                          1e3 * (std::min(t.ended, until) - from), 2,
                          fmt::format("collective of {} elements", t.elements)});
  }
}

std::optional<chart::Gantt> gantt_of(const PageRun& run, const Store& store) {
  const Json result = store.result(run.point->number);
  if (!result.is_object() || result.value("events", 0.0) > static_cast<double>(kMostEvents))
    return {};
  const Experiment experiment = read_experiment(result.at("experiment"), "stored");
  if (needs_process(experiment)) return {};
  Recorder recorder;
  const RunResult again =
      run_alone(experiment, {.recorder = &recorder, .uncertainty = false, .layers = true});
  const LayerLog& log = *recorder.layers;
  const double until = log.borders[static_cast<std::size_t>(
                   std::min<std::int64_t>(log.measured_until, std::ssize(log.borders) - 1))],
               from = until - again.layers->seconds;
  chart::Gantt gantt{run.name, "ms", 1e3 * again.layers->seconds, {{"computation", {}}}};
  add_operations(log, from, until, gantt.lanes.front());
  if (!log.transfers.empty()) {
    gantt.lanes.push_back({"communication", {}});
    add_transfers(log, from, until, gantt.lanes.back());
  }
  return gantt;
}

std::vector<std::pair<std::size_t, std::string>> legend_of(const std::vector<PageRun>& runs) {
  std::vector<std::pair<std::size_t, std::string>> legend;
  for (const PageRun& run : runs) legend.emplace_back(run.series, run.name);
  return legend;
}

}  // namespace

Section loss_section(const std::vector<PageRun>& runs, const Store& store,
                     const std::string& place) {
  chart::Curves curves{"Loss against time", "seconds of the cluster", "loss", {}};
  for (const PageRun& run : runs) {
    const Json result = store.result(run.point->number);
    if (!result.is_object() || !result.contains("training")) continue;
    const Json& training = result.at("training");
    const bool evaluated = training.contains("evaluations") && !training.at("evaluations").empty();
    chart::Curves::Curve curve{run.name, run.series, {}};
    for (const Json& point : training.at(evaluated ? "evaluations" : "steps")) {
      const Json &time = point.at("time_s"), &loss = point.at("loss");
      if (time.is_number() && loss.is_number() && std::isfinite(loss.get<double>()))
        curve.points.emplace_back(time.get<double>(), loss.get<double>());
    }
    if (!curve.points.empty()) curves.curves.push_back(std::move(curve));
  }
  Section section{.name = "loss", .heading = "Loss against time"};
  section.legend = legend_of(runs);
  if (!curves.curves.empty())
    section.figures.push_back(
        {place, chart::svg(curves), "Of the evaluations, or of the steps where there were none."});
  return section;
}

Section gantt_section(const std::vector<PageRun>& runs, const Store& store,
                      const std::string& place) {
  Section section{.name = "gantt", .heading = "One iteration of each"};
  section.note =
      place +
      ", first worker, milliseconds from the begin of a cycle of the schedule; messages to "
      "servers are not drawn. Hover for dates; 'paceline run --trace' has every operation.";
  section.legend = {{0, "computation"}, {7, "other operations"}, {1, "communication"}};
  for (const PageRun& run : runs)
    if (const std::optional<chart::Gantt> gantt = gantt_of(run, store))
      section.figures.push_back({run.name, chart::svg(*gantt), "", true});
  return section;
}

Section measured_section(const std::filesystem::path& file, const Findings& found,
                         const std::vector<std::string>& axes, const std::vector<PageRun>& runs) {
  const CsvTable table(file);
  const bool rates = table.has_column("samples_per_s");
  if (rates == table.has_column("iteration_time_s"))
    throw InputError(fmt::format(
        "{}: expected one of the columns iteration_time_s and samples_per_s", table.file()));
  const char* const figure = rates ? "samples_per_s" : "iteration_time_s";
  chart::Curves curves{"Predicted against measured",
                       rates ? "measured, samples/s" : "measured, ms",
                       rates ? "predicted, samples/s" : "predicted, ms",
                       {},
                       true};
  for (const PageRun& run : runs) curves.curves.push_back({run.name, run.series, {}, true});
  double errors = 0;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const auto fits = [&](const FoundPoint& point) {
      for (std::size_t axis = 0; axis < axes.size(); ++axis)
        if (table.has_column(axes[axis]) && table.text(row, axes[axis]) != point.labels[axis])
          return false;
      return true;
    };
    const auto point = std::find_if(found.points().begin(), found.points().end(), fits);
    if (point == found.points().end())
      throw InputError(
          fmt::format("{}:{}: no point of the study is that", table.file(), table.line(row)));
    const double measured = table.number(row, figure),
                 predicted = rates ? 1 / point->sample_s : point->time_s;
    if (measured <= 0)
      throw InputError(
          fmt::format("{}:{}: {} must be positive", table.file(), table.line(row), figure));
    errors += std::abs(predicted / measured - 1) / static_cast<double>(table.rows());
    const double scale = rates ? 1 : 1e3;
    for (chart::Curves::Curve& curve : curves.curves)
      if (curve.name == point->labels[found.contender])
        curve.points.emplace_back(scale * measured, scale * predicted);
  }
  Section section{.name = "measured", .heading = "Predicted against measured"};
  section.legend = legend_of(runs);
  section.figures.push_back(
      {"", chart::svg(curves),
       fmt::format("{} rows of {}; mean error {:.1f} %. On the line both are the same.",
                   table.rows(), file.filename().string(), 100 * errors)});
  return section;
}

}  // namespace paceline
