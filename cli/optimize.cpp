#include "studies/optimize.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "answer.hpp"
#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "commands.hpp"
#include "study_options.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct OptimizeOptions {
  explicit OptimizeOptions(CLI::App& command) : study(command) {}
  StudyOptions study;
  OutputOptions output;
  OptimizeSettings settings;
  std::string out, each;
};

std::string wanted(const Optimization& found) {
  std::string text =
      fmt::format("{} {}", found.objective.maximize ? "largest" : "least", found.objective.column);
  for (const Constraint& constraint : found.constraints) text += ", " + constraint.text;
  return text;
}

std::string how_sure(const Optimum& optimum) {
  if (optimum.all) return "all there are";
  return optimum.no_neighbour ? "no neighbour is better" : "as far as that goes";
}

std::string report(const Optimization& found, const std::string& file) {
  Table table;
  const bool times = found.objective.column == "iteration_time_s";
  const auto is_axis = [&](const std::string& column) {
    return std::find(found.axes.begin(), found.axes.end(), column) != found.axes.end();
  };
  for (const std::string& axis : found.axes) table.column(axis);
  if (!is_axis(found.objective.column)) table.column(found.objective.column, Table::Align::right);
  if (times) table.column("uncertainty_s", Table::Align::right);
  for (const Constraint& constraint : found.constraints)
    if (!is_axis(constraint.column)) table.column(constraint.column, Table::Align::right);
  table.column("settings", Table::Align::right);
  table.column("looked at");
  for (const Optimum& optimum : found.optima) {
    if (optimum.labels.empty()) continue;
    std::vector<std::string> cells = optimum.labels;
    if (!is_axis(found.objective.column))
      cells.push_back(optimum.value ? fmt::format("{:.5g}", *optimum.value) : "none allowed");
    if (times) cells.push_back(fmt::format("{:.2g}", optimum.sigma_s));
    for (std::size_t i = 0; i < found.constraints.size(); ++i)
      if (!is_axis(found.constraints[i].column))
        cells.push_back(optimum.bounded[i] ? fmt::format("{:.5g}", *optimum.bounded[i]) : "");
    cells.push_back(fmt::format("{}", optimum.settings));
    cells.push_back(how_sure(optimum));
    table.row(std::move(cells));
  }
  return fmt::format(
      "{}: {} ({} simulations made, {} found, in {})\n\n{}\npaceline query {} --study {}     what "
      "was "
      "looked at\n",
      found.study, wanted(found), found.simulations, found.found, file, table.text(), file,
      found.study);
}

void show(const Optimization& plan, const OptimizeProgress& progress) {
  std::string line = fmt::format("{} settings of at most {}", progress.settings, progress.most);
  if (progress.best != nullptr && progress.best->value)
    line += fmt::format(", best {} {:.5g} at {}", plan.objective.column, *progress.best->value,
                        setting_text(plan.axes, progress.best->labels));
  show_progress(line);
}

void run(OptimizeOptions& options) {
  Study study = options.study.study(StudyUse::search);
  const bool named = !options.study.name.empty();
  if (study.name.empty()) study.name = "search";
  options.settings.each =
      options.each.empty() ? std::vector<std::string>{} : CLI::detail::split(options.each, ',');
  Optimization plan = planned(study, options.settings);
  plan.study = named ? study.name : study.name + "-optimum";
  study.check_values();
  const std::string file = options.out.empty() ? study.name + ".db" : options.out;
  interrupt_note(fmt::format("what is in {} is kept; the same command goes on", file));
  options.settings.progress = [&plan](const OptimizeProgress& progress) { show(plan, progress); };
  Optimization found;
  {
    Store store(file, Database::Mode::write);
    found = optimize(study, store, plan, options.settings);
  }
  end_progress();
  options.output.print({[&] { return report(found, file); }, [&] { return to_json(found, file); }});
  require_optima(found);
}

}  // namespace

void add_optimize(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "optimize", "The best setting of a study's axes: the least time, cost, energy, ...");
  command->footer(
      "COLUMN: time, throughput, speedup, efficiency, cost, energy, bytes, memory, "
      "time-to-accuracy,\n"
      "cost-to-accuracy, energy-to-accuracy, any column of 'paceline query', or an axis of "
      "numbers.\n"
      "VALUES as of 'paceline sweep'; a range need not say its steps: 1Gbps..100Gbps:log, 0..1\n"
      "Examples:\n"
      "  paceline optimize cocod-period --minimize time --each bandwidth\n"
      "  paceline optimize -m resnet50 -b 32 -c 16x1-1080ti-10gbe -s s-sgd:overlap=ddp \\\n"
      "      --vary network.bandwidth=1Gbps..400Gbps:log --minimize network.bandwidth \\\n"
      "      --subject-to 'efficiency>=0.9'\n"
      "  paceline optimize -m vgg16 -c 4x4-v100-10gbe --vary batch=8..128:8 \\\n"
      "      --vary schedule=s-sgd:overlap=ddp,s-sgd:overlap=mg-wfbp --maximize throughput \\\n"
      "      --subject-to 'memory<=16GiB'");
  const auto options = std::make_shared<OptimizeOptions>(*command);
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  OptimizeSettings& settings = options->settings;
  settings.parallel = std::max(1U, std::thread::hardware_concurrency());
  command->add_option("--minimize", settings.minimize, "the objective: COLUMN");
  command->add_option("--maximize", settings.maximize, "the objective: COLUMN");
  command->add_option("--subject-to", settings.subject_to,
                      "only settings where COLUMN<=VALUE or COLUMN>=VALUE: 'memory<=11GiB'");
  command->add_option("--each", options->each,
                      "axes that are not searched, A,B: the best setting for every value of them");
  command
      ->add_option("--evaluations", settings.evaluations,
                   "settings to look at, at most, of each search (200)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
  command->add_option("-o,--out", options->out,
                      "the store (NAME.db); what it has is not made again");
  command->add_option("-j,--jobs", settings.parallel, "points at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
