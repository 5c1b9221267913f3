#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <functional>
#include <iostream>
#include <memory>
#include <thread>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/units.hpp"
#include "commands.hpp"
#include "disturbances.hpp"
#include "experiments/run.hpp"
#include "experiments/training_time.hpp"
#include "options.hpp"
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
  std::string trace, metrics, checkpoint;
  std::optional<std::string> checkpoint_every;
  std::string time;  ///< of the cluster; empty: its steps
  bool resume = false, sensitivity = false, layers = false;
};

constexpr double kCheckpointEvery = 60;  // s

// "500" steps, or "10min" of this machine's time.
void read_frequency(const std::string& text, CheckpointOptions& options) {
  if (text.find_first_not_of("0123456789") == std::string::npos && !text.empty()) {
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + text.size(), options.every_steps);
    if (error == std::errc() && options.every_steps > 0) return;
    throw InputError(fmt::format("--checkpoint-every {}: expected at least one step", text));
  }
  try {
    options.every_s = parse_duration(text);
  } catch (const InputError&) {
    throw InputError(fmt::format(
        "--checkpoint-every '{}': expected a number of steps (500) or a duration (10min)", text));
  }
  if (options.every_s <= 0)
    throw InputError(fmt::format("--checkpoint-every {}: expected a positive duration", text));
}

std::optional<CheckpointOptions> checkpoint_options(const RunOptions& options) {
  if (options.checkpoint.empty()) {
    for (const auto& [asked, name] :
         {std::pair(options.resume, "--resume"),
          std::pair(options.checkpoint_every.has_value(), "--checkpoint-every")})
      if (asked) throw InputError(fmt::format("{}: which folder? (--checkpoint FOLDER)", name));
    return std::nullopt;
  }
  CheckpointOptions checkpoints;
  checkpoints.folder = options.checkpoint;
  note_checkpoints(checkpoints.folder);
  checkpoints.resume = options.resume;
  if (options.checkpoint_every)
    read_frequency(*options.checkpoint_every, checkpoints);
  else
    checkpoints.every_s = kCheckpointEvery;
  checkpoints.note = [](const std::string& note) { fmt::print(stderr, "paceline: {}\n", note); };
  return checkpoints;
}

void save_trace(const Recorder& recorder, const std::string& file) {
  save_file(file, [&](std::ostream& stream) { recorder.write(stream); });
  if (recorder.dropped() > 0)
    fmt::print(stderr,
               "paceline: the trace holds the first {} events; {} later ones are left out\n",
               recorder.size(), recorder.dropped());
}

// --for 2s.
std::int64_t steps_of(const RunOptions& options, const Experiment& experiment) {
  if (experiment.jobs.front().steps)
    throw InputError("--for: the run has a number of steps already (--steps)");
  double seconds = 0;
  try {
    seconds = parse_duration(options.time);
  } catch (const InputError& error) {
    throw InputError(fmt::format("--for: {}", error.what()));
  }
  return steps_within(experiment, seconds);
}

void say_real_time(const Experiment& experiment) {
  const TrainingDescription* training =
      experiment.jobs.front().training ? &*experiment.jobs.front().training : nullptr;
  if (training == nullptr) return;
  if (const double seconds = real_time_s(experiment); seconds > 0)
    fmt::print(stderr, "paceline: this machine will take {} {}\n",
               training->until_accuracy ? "at most" : "about", clock_time(seconds));
}

// One that fails keeps none of the others from being written.
void save_all(const std::vector<std::pair<bool, std::function<void()>>>& files) {
  std::string failures;
  for (const auto& [wanted, save] : files) {
    if (!wanted) continue;
    try {
      save();
    } catch (const InputError& error) {
      failures += fmt::format("{}{}", failures.empty() ? "" : "; ", error.what());
    }
  }
  if (!failures.empty()) throw InputError(failures);
}

void run(const RunOptions& options) {
  const ExperimentText text = options.experiment.text();
  Experiment experiment = read_experiment(text.json, text.file);
  if (!options.time.empty()) experiment.jobs.front().steps = steps_of(options, experiment);
  std::optional<Recorder> recorder;
  if (!options.trace.empty()) {
    check_writable("--trace", options.trace);
    recorder.emplace();
  }
  const bool trains = std::any_of(experiment.jobs.begin(), experiment.jobs.end(),
                                  [](const JobDescription& job) { return job.training; });
  if (!options.metrics.empty()) {
    check_writable("--metrics", options.metrics);
    if (!trains) throw InputError("--metrics: there are none without --numerics");
  }
  RunAlongside alongside;
  alongside.sensitivity = options.sensitivity;
  alongside.layers = options.layers;
  alongside.parallel = std::thread::hardware_concurrency();
  if (recorder) alongside.recorder = &*recorder;
  alongside.progress = training_progress(experiment);
  if (progress_wanted()) say_real_time(experiment);
  alongside.checkpoints = checkpoint_options(options);
  if (alongside.checkpoints && !trains)
    throw InputError("--checkpoint: there is nothing to keep without --numerics");
  const RunResult result = run_experiment(experiment, alongside);
  end_progress();
  const auto table = [&] {
    std::string report = run_report(result, disturbances(experiment.cluster, experiment.jitter));
    if (options.layers) report += "\n" + layers_report(*result.layers);
    if (options.sensitivity) report += "\n" + tornado(result.job);
    return report;
  };
  options.output.print({table, [&] { return to_json(result); }});
  std::cout.flush();  // the result first: what goes beside it may fail
  save_all({{!options.trace.empty(), [&] { save_trace(*recorder, options.trace); }},
            {!options.metrics.empty(), [&] { save_text(options.metrics, metrics_csv(result)); }}});
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
      "  paceline run -m lenet5 -b 16 -c 16x1-1080ti-10gbe --numerics --target 0.9 --steps 300\n"
      "  paceline run -m resnet20-cifar -b 8 -c 16x1-1080ti-1gbe --numerics --data textures "
      "--checkpoint saved --resume");
  const auto options = std::make_shared<RunOptions>(*command);
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  command->add_option("--for", options->time,
                      "as many steps as are over within this time of the cluster: 2s");
  command->add_flag("--sensitivity", options->sensitivity,
                    "how far the iteration moves with each input that is not known exactly");
  command->add_flag("--layers", options->layers,
                    "a table by layer: when it is computed and sent, bytes, and what is exposed");
  command->add_option("--trace", options->trace,
                      "write a trace for ui.perfetto.dev or chrome://tracing to this file");
  command->add_option("--metrics", options->metrics,
                      "write losses and evaluations of a training to this CSV file");
  const char* group = "Checkpoints of a training";
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "keep the two latest checkpoints in this folder")
      ->group(group);
  command
      ->add_option("--checkpoint-every", options->checkpoint_every,
                   "steps (500), or this machine's time (10min) (1min)")
      ->group(group);
  command
      ->add_flag("--resume", options->resume,
                 "go on from the latest checkpoint in that folder, if there is one: the result is "
                 "that of an uninterrupted run, bit for bit")
      ->group(group);
  command->callback([options] { run(*options); });
}

}  // namespace paceline
