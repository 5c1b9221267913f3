#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "commands.hpp"
#include "experiments/run.hpp"
#include "options.hpp"
#include "output_file.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "table.hpp"
#include "training_report.hpp"

namespace paceline {
namespace {

struct RunOptions {
  explicit RunOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::string trace, metrics;
};

void run(const RunOptions& options) {
  const ExperimentText text = options.experiment.text();
  const Experiment experiment = read_experiment(text.json, text.file);
  std::optional<Recorder> recorder;
  if (!options.trace.empty()) {
    check_writable("--trace", options.trace);
    recorder.emplace();
  }
  if (!options.metrics.empty()) {
    check_writable("--metrics", options.metrics);
    if (std::none_of(experiment.jobs.begin(), experiment.jobs.end(),
                     [](const JobDescription& job) { return job.training.has_value(); }))
      throw InputError("--metrics: there are none without --numerics");
  }
  const RunResult result =
      run_experiment(experiment, recorder ? &*recorder : nullptr, training_progress(experiment));
  end_progress();
  if (recorder) {
    save_file(options.trace, [&](std::ostream& stream) { recorder->write(stream); });
    if (recorder->dropped() > 0)
      fmt::print(stderr,
                 "paceline: the trace holds the first {} events; {} later ones are left out\n",
                 recorder->size(), recorder->dropped());
  }
  if (!options.metrics.empty()) save_text(options.metrics, metrics_csv(result));
  std::cout << (options.output.json ? to_json(result).dump(2) + "\n" : run_report(result));
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run",
                                         "Simulate one experiment: how long is an iteration, "
                                         "and where does the time go?");
  command->footer(
      "Examples:\n"
      "  paceline run reference-wfbp\n"
      "  paceline run --model resnet50 --batch 32 --cluster 16x1-1080ti-10gbe\n"
      "  paceline run -m vgg16 -b 32 -c 4x4-v100-56gbib -s s-sgd:overlap=mg-wfbp --all-reduce "
      "hierarchical\n"
      "  paceline run reference-wfbp --set 'nodes[0].count=64' --json\n"
      "  paceline run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 3 --trace trace.json\n"
      "  paceline run -m lenet5 -b 16 -c 16x1-1080ti-10gbe --numerics --target 0.9 --steps 300");
  const auto options = std::make_shared<RunOptions>(*command);
  options->output.add_to(*command, false);
  command->add_option("--trace", options->trace,
                      "write a trace for ui.perfetto.dev or chrome://tracing to this file");
  command->add_option("--metrics", options->metrics,
                      "write losses and evaluations of a training to this CSV file");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
