#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <thread>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/json.hpp"
#include "commands.hpp"
#include "experiments/axes.hpp"
#include "experiments/experiment.hpp"
#include "experiments/published.hpp"
#include "experiments/stack_fit.hpp"
#include "experiments/validate.hpp"
#include "options.hpp"
#include "platforms/stack.hpp"
#include "platforms/stack_file.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct CalibrateStackOptions {
  explicit CalibrateStackOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::string rows, out;
  std::vector<std::string> constants;
  unsigned jobs = std::thread::hardware_concurrency();
};

// Columns "gpus" and "measured"; any other is a key of the experiment, whose cells are as on the
// command line.
PublishedSet rows_of_csv(const std::string& file, const Json& experiment) {
  const CsvTable table{std::filesystem::path(file)};
  Json set{{"format", "paceline-published-1"}, {"title", file}, {"source", file}};
  for (const char* key : {"licence", "hardware", "software"}) set[key] = "not stated";
  set["experiment"] = experiment;
  Json rows = Json::array();
  for (std::size_t i = 0; i < table.rows(); ++i) {
    Json row{{"gpus", static_cast<std::int64_t>(table.number(i, "gpus"))},
             {"measured", table.text(i, "measured")},
             {"training", true},
             {"experiment", Json::object()}};
    for (const std::string& key : experiment_keys()) {
      if (key == "gpus" || !table.has_column(key) || table.text(i, key).empty()) continue;
      row["experiment"].update(
          axis_from_option(key + "=" + table.text(i, key)).variants.at(0).keys);
    }
    rows.push_back(std::move(row));
  }
  set["series"] = Json::array({{{"name", "rows"}, {"rows", std::move(rows)}}});
  return read_published(set, std::filesystem::path(file).stem().string(), file);
}

// A set of measurements gives its training rows; a table all of its own.
PublishedSet rows_of(const CalibrateStackOptions& options) {
  if (options.rows.ends_with(".csv"))
    return rows_of_csv(options.rows, options.experiment.text().json);
  return load_published(options.rows);
}

struct Outcome {
  Stack stack;
  StackFit fit;
  ErrorSummary judged{{}};
};

std::string report(const Outcome& outcome) {
  const StackFit& fit = outcome.fit;
  std::string text = fmt::format(
      "{}: mean error on {} rows {:.1f} % before, {:.1f} % after ({} simulations)\n",
      outcome.stack.name, fit.rows, 100 * fit.error_before, 100 * fit.error_after, fit.simulations);
  if (outcome.judged.rows > 0)
    text += fmt::format("on the {} rows not used: {:.1f} %, p90 {:.1f} %\n", outcome.judged.rows,
                        100 * outcome.judged.mean, 100 * outcome.judged.p90);
  Table table;
  table.column("constant");
  for (const char* name : {"before", "fitted", "sigma"}) table.column(name, Table::Align::right);
  table.column("the rows");
  for (const FittedConstant& constant : fit.constants) {
    const auto fields = stack_fields();
    const StackField& field =
        *std::find_if(fields.begin(), fields.end(),
                      [&](const StackField& known) { return known.key == constant.key; });
    table.row(
        {constant.key, format_stack_value(field, constant.before),
         format_stack_value(field, constant.value),
         constant.sigma > 0 ? fmt::format("{:.0f} %", 100 * constant.sigma / constant.value) : "-",
         constant.identified ? "identify it" : "do not identify it"});
  }
  return text + table.text();
}

Json outcome_json(const Outcome& outcome) {
  Json json{{"stack", write_stack(outcome.stack)},
            {"rows", outcome.fit.rows},
            {"error_before", outcome.fit.error_before},
            {"error_after", outcome.fit.error_after},
            {"constants", Json::array()}};
  for (const FittedConstant& constant : outcome.fit.constants)
    json["constants"].push_back({{"key", constant.key},
                                 {"before", constant.before},
                                 {"value", constant.value},
                                 {"sigma", constant.sigma},
                                 {"identified", constant.identified}});
  if (outcome.judged.rows > 0)
    json["judged"] = {
        {"rows", outcome.judged.rows}, {"mean", outcome.judged.mean}, {"p90", outcome.judged.p90}};
  return json;
}

// The constants to fit: those asked for, or what the stack states.
std::vector<std::string> wanted(const CalibrateStackOptions& options, const Stack& stack) {
  if (!options.constants.empty()) return options.constants;
  std::vector<std::string> keys;
  for (const StackField& field : stack_fields())
    if ((stack.*field.constant).stated() && can_be_fitted(field)) keys.emplace_back(field.key);
  if (keys.empty())
    throw InputError(
        fmt::format("the stack '{}' states no constant that rows can say: say which to fit "
                    "(--constant KEY; 'paceline show "
                    "stack ideal' lists them)",
                    stack.name));
  return keys;
}

void run(const CalibrateStackOptions& options) {
  if (!options.out.empty()) check_writable("--out", options.out);
  PublishedSet set = rows_of(options);
  const Json flags = options.experiment.text().json;
  if (flags.contains("stack"))
    for (PublishedRow& row : set.rows) row.experiment["stack"] = flags.at("stack");
  std::vector<PublishedRow> training;
  for (const PublishedRow& row : set.rows)
    if (row.training) training.push_back(row);
  if (training.empty())
    throw InputError(fmt::format("{}: no row is marked \"training\"", options.rows));
  Outcome outcome;
  outcome.stack = read_experiment(training.front().experiment, options.rows).stack;
  StackFitSettings settings{wanted(options, outcome.stack), options.jobs, show_progress};
  outcome.fit = fit_stack(training, outcome.stack, settings);
  const std::string source = fmt::format("fitted on {} rows of {}", training.size(),
                                         std::filesystem::path(options.rows).filename().string());
  for (const FittedConstant& constant : outcome.fit.constants)
    for (const StackField& field : stack_fields())
      if (field.key == constant.key && constant.sigma > 0)
        outcome.stack.*field.constant = {constant.value, source, constant.sigma / constant.value};
  ReplaySettings replaying;
  replaying.parallel = options.jobs;
  replaying.experiment = {{"stack", write_stack(outcome.stack)}};
  if (training.size() < set.rows.size())
    outcome.judged = replay({std::move(set)}, replaying).front().judged();
  end_progress();
  if (!options.out.empty()) save_json(options.out, write_stack(outcome.stack));
  options.output.print({[&] { return report(outcome); }, [&] { return outcome_json(outcome); }});
}

}  // namespace

void add_calibrate_stack(CLI::App& calibrate) {
  CLI::App* command = calibrate.add_subcommand(
      "stack", "Fit or check a software stack on measured rows, and say what they identify");
  command->footer(
      "Examples:\n"
      "  paceline calibrate stack --rows mine.csv -m resnet50 -b 64 -c mine.json --one-gpu 253/s "
      "\\\n      --constant compute_per_collective --constant flow_bandwidth --out "
      "mine-stack.json\n"
      "  paceline calibrate stack --rows ddl-2080ti-all-reduce --stack horovod-tcp-2020\n"
      "mine.csv has the columns gpus and measured (\"1400/s\" or \"182ms\"), and any key of an "
      "experiment.");
  const auto options = std::make_shared<CalibrateStackOptions>(*command);
  options->output.add_to(*command, false);
  command
      ->add_option("--rows", options->rows,
                   "a CSV of yours, or a set of measurements, of which the training rows are used")
      ->required();
  add_progress_flag(*command);
  command->add_option("--constant", options->constants,
                      "constant to fit (all that the stack states)");
  command->add_option("--out", options->out, "write the fitted stack to this file");
  command->add_option("-j,--jobs", options->jobs, "simulations at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
