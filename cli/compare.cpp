#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "base/json.hpp"
#include "commands.hpp"
#include "experiments/compare.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

constexpr double kMostCombinations = 100'000;

struct CompareOptions {
  explicit CompareOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::vector<std::string> vary;
  std::string runs;
  unsigned jobs = std::thread::hardware_concurrency();
};

// Each is made and kept before the first is simulated.
void check_combinations(const std::vector<Axis>& axes) {
  double count = 1;
  for (const Axis& axis : axes) count *= static_cast<double>(axis.variants.size());
  if (count > kMostCombinations)
    throw InputError(fmt::format("{} axes make {:.0f} combinations; at most {:.0f} are compared",
                                 axes.size(), count, kMostCombinations));
}

std::string kept(const CompareProgress& progress, const std::string& runs) {
  return runs.empty()
             ? fmt::format("{} of {} simulations done, none kept (--runs FOLDER keeps them)",
                           progress.done, progress.all)
             : fmt::format("{} of {} kept in {}; the same command goes on", progress.done,
                           progress.all, runs);
}

void print(const Comparison& comparison, const CompareOptions& options) {
  options.output.print({[&] { return comparison_report(comparison); },
                        [&] { return to_json(comparison); },
                        [&] { return comparison_csv(comparison); }});
}

void run(const CompareOptions& options) {
  const ExperimentText text = options.experiment.text();
  if (text.json.is_object() && text.json.value("format", Json()) == "paceline-comparison-1") {
    if (!options.vary.empty())
      throw InputError(fmt::format("--vary: {} is a comparison that was made", text.file));
    if (text.json != load_json(text.file))
      throw InputError(fmt::format(
          "{} is a comparison that was made: options of an experiment change nothing", text.file));
    return print(comparison_from_json(text.json, text.file), options);
  }
  std::vector<Axis> axes = read_axes(text.json, text.file);
  for (const std::string& option : options.vary) axes.push_back(axis_from_option(option));
  check_combinations(axes);
  if (!options.runs.empty())
    interrupt_note(fmt::format("what is in {} is kept; the same command goes on", options.runs));
  CompareSettings settings{options.jobs, options.runs, {}};
  settings.progress = [show = comparison_progress(), &options](const CompareProgress& progress) {
    interrupt_note(kept(progress, options.runs));
    show(progress);
  };
  const Comparison comparison = compare(text.json, text.file, axes, settings);
  end_progress();
  print(comparison, options);
}

}  // namespace

void add_compare(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "compare", "Simulate every combination of schedules, clusters, ... side by side");
  command->footer(
      "Examples:\n"
      "  paceline compare first-question\n"
      "  paceline compare -m resnet50 -b 32 --vary cluster=16x1-1080ti-1gbe,16x1-1080ti-10gbe\n"
      "  paceline compare -m vgg16 -b 32 -c 16x1-1080ti-10gbe --vary "
      "network.bandwidth=1Gbps,10Gbps,25Gbps \\\n"
      "      --vary schedule=s-sgd,s-sgd:overlap=none,s-sgd:overlap=ddp:bucket=10MiB --csv\n"
      "  paceline compare loss-vs-time-short --runs runs --json > all.json");
  const auto options = std::make_shared<CompareOptions>(*command);
  options->output.add_to(*command, true);
  command->add_option(
      "--vary", options->vary,
      "an axis: KEY=VALUE,VALUE,... with a key of the experiment or a field of the cluster");
  command->add_option("-j,--jobs", options->jobs, "simulations at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  add_progress_flag(*command);
  command->add_option("--runs", options->runs,
                      "keep every finished run in this folder, and make none again that is there");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
