#include "studies/query.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "commands.hpp"
#include "experiments/axis_values.hpp"
#include "store_rows.hpp"
#include "studies/interval.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct QueryOptions {
  std::string file, columns;
  Question question;
  bool csv = false, json = false, full = false, studies = false;
};

std::string studies_table(const Store& store) {
  Table table;
  table.column("study");
  table.column("points", Table::Align::right);
  table.column("done", Table::Align::right);
  table.column("axes");
  table.column("description");
  for (const Store::StudyInfo& info : store.studies())
    table.row({info.name, fmt::format("{}", info.points), fmt::format("{}", store.done(info)),
               fmt::format("{}", fmt::join(info.axes, ", ")), info.description});
  return table.text(0, 200);
}

void say_what_is_missing(const Store& store, const Question& question) {
  const Store::StudyInfo info = store.study(question.study);
  const std::uint64_t done = store.done(info);
  if (done < info.points)
    fmt::print(stderr, "paceline: {}: {} of {} points have been run so far\n", info.name, done,
               info.points);
}

std::vector<std::string> table_columns(const Store::StudyInfo& study, bool over_seeds) {
  std::vector<std::string> columns = study.axes;
  if (!over_seeds) {
    columns.insert(columns.end(),
                   {"iteration_time_s", "uncertainty_s", "compute_s", "exposed_communication_s",
                    "waiting_s", "samples_per_s", "speedup_over_one_gpu", "speedup_over_s_sgd"});
    return columns;
  }
  std::erase_if(columns, is_seed_axis);
  columns.insert(columns.end(),
                 {"seeds", "iteration_time_s", "iteration_time_s_ci95", "samples_per_s",
                  "samples_per_s_ci95", "speedup_over_one_gpu", "speedup_over_one_gpu_ci95"});
  return columns;
}

void run(QueryOptions& options) {
  Store store(options.file, Database::Mode::read);
  Question question = options.question;
  if (options.studies) {
    std::cout << studies_table(store);
    return;
  }
  if (!options.columns.empty()) question.columns = split_outside_brackets(options.columns, ',');
  if (question.sql.empty()) say_what_is_missing(store, question);
  if (options.full) return print_results(store, question);
  if (options.csv) return print_rows_csv(store, question);
  if (options.json) return print_rows_json(store, question);
  if (question.sql.empty() && question.columns.empty())
    question.columns = table_columns(store.study(question.study), question.over_seeds);
  std::cout << rows_table(store, question);
}

}  // namespace

void add_query(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("query", "Ask a store of 'paceline sweep': filters or SQL");
  command->footer(
      "SQL sees one study as the view \"points\": number, a column for each axis, and every "
      "figure; quantity(label) is a\n"
      "label as a number in SI base units. The view \"over_seeds\" is what --over-seeds shows.\n"
      "Examples:\n"
      "  paceline query mine.db\n"
      "  paceline query mine.db --where 'schedule=cocod-sgd*;network.bandwidth=10Gbps..100Gbps' "
      "--sort iteration_time_s\n"
      "  paceline query mine.db --csv > all.csv\n"
      "  paceline query mine.db --over-seeds\n"
      "  paceline query mine.db --sql 'SELECT schedule, min(iteration_time_s) FROM points GROUP BY "
      "schedule'");
  const auto options = std::make_shared<QueryOptions>();
  command->add_option("store", options->file, "store that 'paceline sweep' has written")
      ->required();
  command->add_option("--study", options->question.study, "name of the study (the only one)");
  command->add_option("--where", options->question.where,
                      "COLUMN=VALUES, or several with ';': rows where all hold");
  command->add_option("--columns", options->columns, "columns to print: A,B,C");
  command->add_option("--sort", options->question.sort, "column to sort by (number of the point)");
  command->add_flag("--descending", options->question.descending, "the largest first");
  auto* seeds = command->add_flag(
      "--over-seeds", options->question.over_seeds,
      "points that differ in the seed alone as one row: means, and FIGURE_ci95, half the "
      "95 % interval of each");
  command->add_option("--limit", options->question.limit, "rows at most");
  command->add_option("--sql", options->question.sql, "one SELECT instead");
  auto* csv =
      command->add_flag("--csv", options->csv, "print comma-separated values with every column");
  auto* json =
      command->add_flag("--json", options->json, "print one JSON object a line")->excludes(csv);
  command->add_flag("--full", options->full, "print whole results, one a line")
      ->excludes(csv)
      ->excludes(seeds)
      ->excludes(json);
  command->add_flag("--studies", options->studies, "print which studies there are");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
