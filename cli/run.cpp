#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "base/error.hpp"
#include "commands.hpp"
#include "experiments/run.hpp"
#include "options.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

struct RunOptions {
  explicit RunOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::string trace;
};

// Asked before the run: a long one must not end in nothing.
void check_writable(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError(
        fmt::format("--trace {}: there is no folder '{}'", file.string(), folder.string()));
  if (fs::is_directory(file, error))
    throw InputError(fmt::format("--trace {}: is a folder, expected a file", file.string()));
  if (::access(folder.c_str(), W_OK) != 0)
    throw InputError(
        fmt::format("--trace {}: cannot be written: {}", file.string(), std::strerror(errno)));
}

// Through a temporary file and a rename: never half a trace.
void save_trace(const fs::path& file, const Recorder& recorder) {
  const fs::path temporary = file.string() + fmt::format(".{}.tmp", ::getpid());
  std::ofstream stream(temporary, std::ios::binary);
  recorder.write(stream);
  stream.close();
  if (!stream) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw std::runtime_error(fmt::format("{}: cannot be written", file.string()));
  }
  fs::rename(temporary, file);
}

void run(const RunOptions& options) {
  const ExperimentText text = options.experiment.text();
  const Experiment experiment = read_experiment(text.json, text.file);
  std::optional<Recorder> recorder;
  if (!options.trace.empty()) {
    check_writable(options.trace);
    recorder.emplace();
  }
  const RunResult result = run_experiment(experiment, recorder ? &*recorder : nullptr);
  if (recorder) {
    save_trace(options.trace, *recorder);
    if (recorder->dropped() > 0)
      fmt::print(stderr,
                 "paceline: the trace holds the first {} events; {} later ones are left out\n",
                 recorder->size(), recorder->dropped());
  }
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
      "  paceline run -m resnet50 -b 32 -c 16x1-1080ti-10gbe --steps 3 --trace trace.json");
  const auto options = std::make_shared<RunOptions>(*command);
  options->output.add_to(*command, false);
  command->add_option("--trace", options->trace,
                      "write a trace for ui.perfetto.dev or chrome://tracing to this file");
  command->callback([options] { run(*options); });
}

}  // namespace paceline
