#include "studies/sweep.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <thread>

#include "answer.hpp"
#include "base/error.hpp"
#include "commands.hpp"
#include "slurm.hpp"
#include "study_options.hpp"
#include "sweep_text.hpp"
#include "table.hpp"

namespace paceline {
namespace {

constexpr std::uint64_t kMostTasks = 1'000'000;

struct SweepOptions {
  explicit SweepOptions(CLI::App& command) : study(command) {}
  StudyOptions study;
  OutputOptions output;
  std::string out, part, sbatch;
  std::uint64_t slurm = 0;  // tasks; 0: here
  std::vector<std::string> collect;
  bool count = false;
  unsigned jobs = std::thread::hardware_concurrency();
};

// "2/8": the third of eight shares.
void read_part(const std::string& text, SweepSettings& settings) {
  const auto slash = text.find('/');
  const auto number = [&](const std::string& digits) -> std::uint64_t {
    if (digits.empty() || digits.size() > 9 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      throw InputError(fmt::format("--part '{}': expected I/N with I from 0 to N-1", text));
    return std::stoull(digits);
  };
  settings.part = number(text.substr(0, slash));
  settings.parts = slash == std::string::npos ? 0 : number(text.substr(slash + 1));
  if (settings.part >= settings.parts)
    throw InputError(fmt::format("--part '{}': expected I/N with I from 0 to N-1", text));
}

void submit(const SweepOptions& options, const Study& study, const std::string& file) {
  if (!options.part.empty() || !options.collect.empty())
    throw InputError(
        "--slurm makes the shares and brings them together itself: no --part, no --collect");
  const SubmittedJob job = submit_to_slurm({study.name, file, options.slurm, options.sbatch});
  options.output.print(
      {[&] {
         return fmt::format(
             "{}: job {} runs them as an array of {} tasks, job {} then brings the results "
             "together in {}\n"
             "scripts, shares and logs are in {}; tasks that end early go on from their share\n",
             study_size(study), job.array, options.slurm, job.collect, file, job.folder);
       },
       [&] {
         Json json = sweep_json(study, file, {});
         json["slurm"] = {{"array", job.array},
                          {"tasks", options.slurm},
                          {"collect", job.collect},
                          {"folder", job.folder}};
         return json;
       }});
}

void run(const SweepOptions& options) {
  Study study = options.study.study(StudyUse::sweep);
  if (study.name.empty()) study.name = "sweep";
  if (options.count) {
    options.output.print(
        {[&] { return study_size(study) + '\n'; }, [&] { return sweep_json(study, "", {}); }});
    return;
  }
  study.check_values();
  SweepSettings settings{.parallel = options.jobs};
  if (!options.part.empty()) read_part(options.part, settings);
  const std::string file = options.out.empty() ? study.name + ".db" : options.out;
  if (options.slurm > 0) return submit(options, study, file);
  SweepProgress result;
  {
    Store store(file, Database::Mode::write);
    for (const std::string& other : options.collect) store.collect(other);
    settings.progress = sweep_progress(file);
    result = sweep(study, store, settings);
  }
  end_progress();
  options.output.print({[&] { return sweep_summary(study, file, result); },
                        [&] { return sweep_json(study, file, result); }});
  complain_of_failed(result, file);
}

}  // namespace

void add_sweep(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("sweep", "Run a study: an experiment over axes, kept in a store");
  command->footer(
      "VALUES: a,b,c, or ranges: 1..10, 8..64:8 (step), 8..1024:x2 (factor), 1Gbps..400Gbps:log9, "
      "0..1:lin5\n"
      "Examples:\n"
      "  paceline sweep network-1-to-400g\n"
      "  paceline sweep -m resnet50 -b 32 -c 16x1-1080ti-10gbe --vary "
      "network.bandwidth=1Gbps..100Gbps:log9 \\\n"
      "      --vary schedule=s-sgd,cocod-sgd,lags-sgd --vary nodes[0].count=4..64:x2 -o mine.db\n"
      "  paceline sweep -m vgg16 -b 32 -c 16x1-1080ti-10gbe --sample 200 --vary "
      "network.bandwidth=1Gbps..100Gbps:log \\\n"
      "      --vary network.latency=1us..500us:log\n"
      "  paceline query mine.db --csv");
  const auto options = std::make_shared<SweepOptions>(*command);
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  options->study.add_samples(*command);
  command->add_option("-o,--out", options->out,
                      "the store (NAME.db); what it has is not made again");
  command->add_option("--part", options->part,
                      "run one share only: I/N, as of a job array: $SLURM_ARRAY_TASK_ID/8");
  command->add_option("--collect", options->collect, "take over the results of these stores first");
  command
      ->add_option("--slurm", options->slurm,
                   "submit so many tasks to Slurm, and a job that brings their results together")
      ->check(CLI::Range(std::uint64_t{1}, kMostTasks));
  command->add_option("--sbatch", options->sbatch,
                      "further options of sbatch: '--partition=main --time=1:00:00'");
  command->add_flag("--count", options->count, "say how many points there are, and run none");
  command->add_option("-j,--jobs", options->jobs, "points at a time (the number of cores)")
      ->check(CLI::Range(1U, kMostJobs));
  command->callback([options] { run(*options); });
}

}  // namespace paceline
