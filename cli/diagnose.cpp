#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/json.hpp"
#include "commands.hpp"
#include "experiments/diagnose.hpp"
#include "options.hpp"
#include "platforms/stack_file.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct DiagnoseOptions {
  explicit DiagnoseOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::vector<std::string> measured;
  unsigned jobs = std::thread::hardware_concurrency();
};

std::string point_report(const DiagnosedPoint& point) {
  const double scale = point.measured_s;
  const double lost = point.measured_s - point.one_gpu_s;
  const double unexplained = point.measured_s - point.predicted_s;
  std::string text = fmt::format(
      "{}: measured {}, predicted {} ({:+.1f} %), on one GPU {}: {} of the step are lost to "
      "training together ({:.0f} % of the linear speed is left)\n",
      point.name, seconds_like(point.measured_s, scale), seconds_like(point.predicted_s, scale),
      100 * (point.predicted_s / point.measured_s - 1), seconds_like(point.one_gpu_s, scale),
      seconds_like(std::max(0.0, lost), scale), 100 * point.one_gpu_s / point.measured_s);
  Table table;
  table.column("without");
  table.column("shorter by", Table::Align::right);
  table.column("of the loss %", Table::Align::right);
  for (const LossShare& share : point.shares)
    table.row({share.cause, seconds_like(share.gain_s, scale),
               lost > 0 ? fmt::format("{:.0f}", 100 * share.gain_s / lost) : "-"});
  if (unexplained > 0)
    table.row({"(not explained by this stack)", seconds_like(unexplained, scale),
               lost > 0 ? fmt::format("{:.0f}", 100 * unexplained / lost) : "-"});
  return text + table.text(2);
}

std::string report(const Diagnosis& diagnosis) {
  std::string text;
  for (const DiagnosedPoint& point : diagnosis.points) text += point_report(point) + "\n";
  if (!diagnosis.suspects.empty()) {
    text += "What the stack does not explain, one constant alone would:\n";
    Table table;
    table.column("constant of the stack");
    table.column("value", Table::Align::right);
    table.column("error left %", Table::Align::right);
    table.column("");
    for (const Suspect& suspect : diagnosis.suspects) {
      const StackField& field = find_stack_field(suspect.constant);
      table.row({suspect.constant, format_stack_value(field, suspect.value),
                 fmt::format("{:.1f}", 100 * suspect.error), std::string(field.meaning)});
    }
    text += table.text(2) + "\n";
  }
  if (diagnosis.remedies.empty())
    return text + "Nothing that was tried makes the step 1 % shorter.\n";
  const double now = diagnosis.points.back().predicted_s;
  text += fmt::format("To try, and the step of {} then ({} predicted now):\n",
                      diagnosis.points.back().name, seconds_like(now, now));
  Table table;
  table.column("");
  table.column("step", Table::Align::right);
  table.column("gain %", Table::Align::right);
  for (const Remedy& remedy : diagnosis.remedies)
    table.row({remedy.what, seconds_like(remedy.step_s, now),
               fmt::format("{:.0f}", 100 * (1 - remedy.step_s / now))});
  return text + table.text(2);
}

Json diagnosis_json(const Diagnosis& diagnosis) {
  Json json{{"format", "paceline-diagnosis-1"}, {"points", Json::array()}};
  for (const DiagnosedPoint& point : diagnosis.points) {
    Json item{{"name", point.name},
              {"measured_s", point.measured_s},
              {"predicted_s", point.predicted_s},
              {"one_gpu_s", point.one_gpu_s},
              {"shares", Json::array()}};
    for (const LossShare& share : point.shares)
      item["shares"].push_back({{"cause", share.cause}, {"gain_s", share.gain_s}});
    json["points"].push_back(std::move(item));
  }
  json["suspects"] = Json::array();
  for (const Suspect& suspect : diagnosis.suspects)
    json["suspects"].push_back(
        {{"constant", suspect.constant}, {"value", suspect.value}, {"error", suspect.error}});
  json["remedies"] = Json::array();
  for (const Remedy& remedy : diagnosis.remedies)
    json["remedies"].push_back({{"what", remedy.what}, {"step_s", remedy.step_s}});
  return json;
}

void run(const DiagnoseOptions& options) {
  const ExperimentText text = options.experiment.text();
  std::vector<PublishedRow> rows;
  for (const std::string& point : options.measured)
    rows.push_back(measured_point(point, text.json));
  show_progress("simulating what would be without each cause");
  const Diagnosis diagnosis = diagnose(rows, options.jobs);
  end_progress();
  options.output.print(
      {[&] { return report(diagnosis); }, [&] { return diagnosis_json(diagnosis); }});
}

}  // namespace

void add_diagnose(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("diagnose", "Why is this slower than it should be, and what would help?");
  command->footer(
      "Examples:\n"
      "  paceline diagnose -m resnet50 -b 64 -c 8x4-2080ti-10gbe --one-gpu 253.1/s \\\n"
      "      -s s-sgd:overlap=wfbp --measured '8 GPUs: 1796/s' --measured '32 GPUs: 5113/s'\n"
      "Give --one-gpu or --step where a single GPU was measured.");
  const auto options = std::make_shared<DiagnoseOptions>(*command);
  options->output.add_to(*command, false);
  command
      ->add_option("--measured", options->measured,
                   "a measured point: '8 GPUs: 1400/s' (samples of all) or '8 GPUs: 182ms'")
      ->required();
  command->add_option("-j,--jobs", options->jobs, "simulations at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
