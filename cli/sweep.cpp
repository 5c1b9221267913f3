#include "studies/sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "answer.hpp"
#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "commands.hpp"
#include "progress.hpp"
#include "slurm.hpp"
#include "store_rows.hpp"
#include "studies/query.hpp"
#include "study_options.hpp"
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

// One line on a terminal: how far, how fast, and how long yet.
std::function<void(const SweepProgress&)> sweep_progress() {
  using HostClock = std::chrono::steady_clock;
  return [started = HostClock::now()](const SweepProgress& progress) {
    const double elapsed = std::chrono::duration<double>(HostClock::now() - started).count();
    const double rate = elapsed > 0 ? static_cast<double>(progress.done) / elapsed : 0;
    std::string line = fmt::format("{} of {} points, {} found, {:.0f}/s", progress.done,
                                   progress.all, progress.found, rate);
    if (rate > 0 && progress.done < progress.all)
      line += fmt::format(", {} left",
                          clock_time(static_cast<double>(progress.all - progress.done) / rate));
    show_progress(line);
  };
}

std::string size_of(const Study& study) {
  const std::uint64_t left_out = study.combinations() - study.points();
  return fmt::format(
      "{}: {} points{}", study.name, study.points(),
      left_out > 0 ? fmt::format(" ({} combinations, {} left out)", study.combinations(), left_out)
                   : "");
}

Json to_json(const Study& study, const std::string& store, const SweepProgress& progress) {
  return {{"format", "paceline-sweep-1"},
          {"study", study.name},
          {"store", store},
          {"axes", study.axes()},
          {"points", study.points()},
          {"done", progress.done},
          {"found", progress.found},
          {"failed", progress.failed},
          {"simulations", progress.simulations}};
}

std::string summary(const Study& study, const std::string& file, const SweepProgress& progress) {
  std::string text = fmt::format(
      "{}, {} simulations made, {} found, {} impossible, in {}\n\nmost samples per second:\n",
      size_of(study), progress.simulations, progress.found, progress.failed, file);
  Store store(file, Database::Mode::read);
  Question best{.study = study.name,
                .columns = study.axes(),
                .sort = "samples_per_s",
                .descending = true,
                .limit = 5};
  best.columns.insert(best.columns.end(), {"iteration_time_s", "uncertainty_s", "samples_per_s",
                                           "speedup_over_one_gpu"});
  text += rows_table(store, best);
  return text + fmt::format(
                    "\npaceline query {0}     rows as a table, --csv or --json; SQL\npaceline "
                    "report {0} -o report.html\n",
                    file);
}

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
             size_of(study), job.array, options.slurm, job.collect, file, job.folder);
       },
       [&] {
         Json json = to_json(study, file, {});
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
        {[&] { return size_of(study) + '\n'; }, [&] { return to_json(study, "", {}); }});
    return;
  }
  study.check_values();
  SweepSettings settings{.parallel = options.jobs};
  if (!options.part.empty()) read_part(options.part, settings);
  const std::string file = options.out.empty() ? study.name + ".db" : options.out;
  if (options.slurm > 0) return submit(options, study, file);
  interrupt_note(fmt::format("what is in {} is kept; the same command goes on", file));
  SweepProgress result;
  {
    Store store(file, Database::Mode::write);
    for (const std::string& other : options.collect) store.collect(other);
    settings.progress = [&, show = sweep_progress()](const SweepProgress& progress) {
      interrupt_note(fmt::format("{} of {} points are kept in {}; the same command goes on",
                                 progress.done, progress.all, file));
      show(progress);
    };
    result = sweep(study, store, settings);
  }
  end_progress();
  options.output.print(
      {[&] { return summary(study, file, result); }, [&] { return to_json(study, file, result); }});
  if (result.failed > 0)
    throw InputError(fmt::format(
        "{} of {} points cannot be run, the first at {}; 'paceline query {} --where \"error=*\"' "
        "says why",
        result.failed, result.all, result.first_failure, file));
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
  command->add_flag("--zip", options->study.axes.zip,
                    "the axes of --vary go together, value by value");
  command
      ->add_option("--sample", options->study.axes.sample,
                   "a Latin hypercube of so many points over the axes of --vary")
      ->check(CLI::PositiveNumber);
  command->add_option("--sample-seed", options->study.axes.seed, "of the sample (1)");
  command
      ->add_option(
          "--seeds", options->study.axes.seeds,
          "every point so many times: the axis seed=1..N, last ('query --over-seeds', 'report')")
      ->check(CLI::PositiveNumber);
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
