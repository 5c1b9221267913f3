// paceline-mpi: `paceline run` on real ranks, and `paceline sweep` by them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <new>
#include <string_view>

#include "answer.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/interrupt.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "base/version.hpp"
#include "disturbances.hpp"
#include "experiments/prepare.hpp"
#include "experiments/run.hpp"
#include "experiments/training.hpp"
#include "mpi/measured.hpp"
#include "mpi/sweep.hpp"
#include "mpi/sweep_command.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct RunOptions {
  explicit RunOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
  std::string all_reduce_by, compute = "replay", timeout = "60s", trace;
  bool predict = false;
};

RankOptions rank_options(const RunOptions& options, const JobDescription& job) {
  RankOptions rank;
  const std::vector<std::string> computes{"replay", "real"};
  if (std::find(computes.begin(), computes.end(), options.compute) == computes.end())
    throw InputError("--compute: " + unknown_name("way to compute", options.compute, computes));
  rank.replay = options.compute == "replay";
  if (!rank.replay && !job.training)
    throw InputError("--compute real: there is nothing to compute without --numerics");
  // With values the sums are the simulator's unless something faster is asked for.
  if (!options.all_reduce_by.empty())
    rank.all_reduce = all_reduce_by_from_name(options.all_reduce_by);
  else
    rank.all_reduce = job.training ? AllReduceBy::rank_order : AllReduceBy::plan;
  if (job.training && rank.all_reduce == AllReduceBy::plan)
    throw InputError(
        "--all-reduce-by plan: sends the simulator's messages without values; with "
        "--numerics: ring, rank-order or library");
  if (!job.training &&
      (rank.all_reduce == AllReduceBy::ring || rank.all_reduce == AllReduceBy::rank_order))
    throw InputError(
        fmt::format("--all-reduce-by {}: sums values; without --numerics: plan (with "
                    "--all-reduce) or library",
                    to_string(rank.all_reduce)));
  rank.timeout_s = parse_duration(options.timeout);
  return rank;
}

void check_ranks(const PreparedJob& job, const World& world) {
  const auto workers = static_cast<int>(job.spec.gpus.size()),
             servers = static_cast<int>(job.spec.servers.size());
  if (world.size() == workers + servers) return;
  const std::string with =
      servers > 0 ? fmt::format(" and {} parameter servers (--servers says how many)", servers)
                  : "";
  throw InputError(fmt::format(
      "this experiment has {} workers (--gpus says which){}, and mpirun has started {} processes: "
      "mpirun -n {} paceline-mpi run ...",
      workers, with, world.size(), workers + servers));
}

// How the same run in the simulator differs from it.
std::string prediction_text(const RunResult& measured, double predicted_s) {
  return fmt::format("  predicted {}: {:+.1f} % of the measured iteration\n",
                     format_duration(predicted_s),
                     100 * (predicted_s / measured.job.iteration_time_s - 1));
}

void print(const RunOptions& options, const Experiment& experiment, const MeasuredRun& run,
           const RunResult& result) {
  std::optional<double> predicted;
  if (options.predict) {
    RunAlongside quiet;
    quiet.uncertainty = false;
    predicted = run_alone(experiment, quiet).job.iteration_time_s;
  }
  const std::string host = fmt::format(
      "cores idle {:.0f} % of the run, ranks used {:.0f} %, the slowest waited {:.1f} % for a "
      "core; events late by {} in the mean, {} at most",
      100 * run.cpu_idle, 100 * run.cpu_used, 100 * run.lateness.no_core,
      format_duration(run.lateness.mean_s), format_duration(run.lateness.most_s));
  const auto table = [&] {
    std::string text = run_report(result, disturbances(experiment.cluster, experiment.jitter));
    text += fmt::format("  host      {}\n", host);
    if (predicted) text += prediction_text(result, *predicted);
    return text;
  };
  const auto json = [&] {
    Json answer = to_json(result);
    answer["measured"] = {{"cpu_idle", run.cpu_idle},
                          {"cpu_used", run.cpu_used},
                          {"without_core", run.lateness.no_core},
                          {"stolen", run.stolen},
                          {"late_mean_s", run.lateness.mean_s},
                          {"late_most_s", run.lateness.most_s}};
    if (predicted) answer["measured"]["predicted_iteration_time_s"] = *predicted;
    return answer;
  };
  options.output.print({table, json});
  std::cout.flush();
}

// "trace.json" of rank 3: "trace.3.json".
std::string of_rank(const std::string& file, int rank) {
  const std::filesystem::path path(file);
  return path.parent_path() /
         fmt::format("{}.{}{}", path.stem().string(), rank, path.extension().string());
}

void run(const RunOptions& options, const World& world) {
  const ExperimentText text = options.experiment.text();
  const Experiment experiment = read_experiment(text.json, text.file);
  if (experiment.jobs.size() > 1)
    throw InputError("real ranks run one job: take the others out of 'jobs'");
  if (!world.equal(write_experiment(experiment).dump()))
    throw InputError("the ranks have read different experiments: is the file the same everywhere?");
  Prepared prepared = prepare(experiment);
  check_ranks(prepared.jobs.front(), world);
  add_training(experiment.jobs, prepared.jobs, prepared.simulation);
  RankOptions rank = rank_options(options, experiment.jobs.front());
  std::optional<Recorder> recorder;
  if (!options.trace.empty()) rank.recorder = &recorder.emplace();
  static std::atomic<bool> stop = false;
  rank.stop = &stop;
  first_interrupt_sets(stop);
  if (world.rank() == 0) rank.passed = steps_progress(prepared.simulation.jobs.front().steps);
  const CpuTimes before = cpu_times();
  RankJob job(prepared.simulation.jobs.front(), *prepared.simulation.cluster, world, rank);
  try {
    job.run();
  } catch (const InputError& error) {  // of this rank: the others wait for it
    fmt::print(stderr, "paceline-mpi: rank {}: {}\n", world.rank(), error.what());
    World::abort(2);
  } catch (const RankStopped& stopped) {  // by Ctrl-C, or by mpirun because another rank has died
    fmt::print(stderr, "paceline-mpi: rank {} on {}: stopped in {}\n", world.rank(), World::host(),
               stopped.what());
    std::_Exit(interrupted_exit_code());
  }
  end_progress();
  MeasuredRun measured = measured_run(job, world, before);
  if (recorder)
    save_file(of_rank(options.trace, world.rank()),
              [&](std::ostream& stream) { recorder->write(stream); });
  if (world.rank() != 0) return;
  measured.result.fidelity_reason =
      fmt::format("{} ranks, {}; compute {}; all-reduce by {}", world.size(), World::library(),
                  rank.replay ? "replayed from the profile" : "real", to_string(rank.all_reduce));
  RunResult result = result_of(experiment, prepared, measured.result);
  result.fidelity = kMeasured;
  // What the wire really does is not the stack's to say.
  result.stack = Stack{}.name;
  result.stack_description = "the real one";
  print(options, experiment, measured, result);
}

void add_run(CLI::App& app, const World& world) {
  CLI::App* command = app.add_subcommand(
      "run", "Run one experiment, a process for each worker: how long does an iteration take?");
  command->footer(
      "Examples:\n"
      "  mpirun -n 16 paceline-mpi run reference-wfbp\n"
      "  mpirun -n 4 paceline-mpi run -m lenet5 -b 16 -c 16x1-1080ti-10gbe --gpus 0-3 --numerics "
      "--steps 30\n"
      "  srun -n 16 --mpi=pmix paceline-mpi run experiment.json --predict --json");
  const auto options = std::make_shared<RunOptions>(*command);
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  command->add_option("--all-reduce-by", options->all_reduce_by,
                      "plan (the simulator's messages; times alone), library (MPI's own), and with "
                      "values ring or rank-order, whose sums are the simulator's to the bit");
  command->add_option("--compute", options->compute,
                      "replay (as long as the profile says) or real (with --numerics: as long as "
                      "the kernels take) (replay)");
  command->add_flag("--predict", options->predict,
                    "simulate the same afterwards, and say how far off that is");
  command->add_option(
      "--trace", options->trace,
      "write each rank's trace for ui.perfetto.dev: FILE.json gives FILE.RANK.json");
  command->add_option("--timeout", options->timeout,
                      "end with what is outstanding when nothing has happened for so long (60s)");
  command->callback([options, &world] { run(*options, world); });
}

struct MessageOptions {
  std::string most = "4MiB", each = "0.3s", pause = "0s";
};

std::shared_ptr<MessageOptions> add_messages(CLI::App& command) {
  const auto options = std::make_shared<MessageOptions>();
  command.add_option("--up-to", options->most, "largest message (4MiB)");
  command.add_option("--each", options->each, "time for each size (0.3s)");
  return options;
}

void need_two(const World& world) {
  if (world.size() < 2) throw InputError("needs two ranks at least (mpirun -n 2)");
}

void add_ping_pong(CLI::App& app, const World& world) {
  CLI::App* command = app.add_subcommand(
      "ping-pong",
      "Messages between ranks 0 and 1, as 'bytes,seconds' for 'paceline calibrate network'");
  command->footer(
      "Example:\n"
      "  mpirun -n 2 paceline-mpi ping-pong > link.csv\n"
      "  paceline calibrate network link.csv --kind point-to-point --base 16x1-1080ti-10gbe --out "
      "mine.json");
  command->callback([options = add_messages(*command), &world] {
    need_two(world);
    const auto found = ping_pong(world, parse_bytes(options->most), parse_duration(options->each));
    if (world.rank() != 0) return;
    fmt::print("bytes,seconds\n");
    for (const TimedMessage& one : found) fmt::print("{:.0f},{:.9f}\n", one.bytes, one.seconds);
  });
}

void add_all_reduce(CLI::App& app, const World& world) {
  CLI::App* command = app.add_subcommand(
      "all-reduce",
      "All-reduces of all ranks (the messages of a ring), as 'bytes,seconds,ranks' for 'paceline "
      "calibrate network'");
  command->footer(
      "Example:\n"
      "  mpirun -n 8 paceline-mpi all-reduce > ring.csv\n"
      "  paceline calibrate network ring.csv --base 16x1-1080ti-10gbe --out mine.json");
  const auto options = add_messages(*command);
  command->add_option("--pause", options->pause, "of every rank before each, as if it computed");
  command->callback([options, &world] {
    need_two(world);
    const auto found =
        ring_all_reduces(world, parse_bytes(options->most), parse_duration(options->each),
                         parse_duration(options->pause));
    if (world.rank() != 0) return;
    fmt::print("bytes,seconds,ranks\n");
    for (const TimedMessage& one : found)
      fmt::print("{:.0f},{:.9f},{}\n", one.bytes, one.seconds, world.size());
  });
}

}  // namespace
}  // namespace paceline

namespace {

constexpr int kOurFault = 1, kInputWrong = 2, kCheckFailed = 3;

// What all ranks find alike is said once; a failure of one ends the others, which wait for it.
int complain(const paceline::World& world, int code, const std::string& message) {
  if (code == kInputWrong) {
    if (world.rank() == 0) fmt::print(stderr, "paceline-mpi: {}\n", message);
    return code;
  }
  fmt::print(stderr, "paceline-mpi: rank {} on {}: {}\n", world.rank(), paceline::World::host(),
             message);
  paceline::World::abort(code);
}

}  // namespace

int main(int argc, char** argv) {
  paceline::World world(&argc, &argv);
  // What is kept of a study rank 0 says, alone.
  if (world.rank() == 0 || argc < 2 || std::string_view(argv[1]) != "sweep")
    paceline::end_on_interrupt("paceline-mpi");
  CLI::App app{"Paceline on real ranks: the same schedules over MPI", "paceline-mpi"};
  app.set_version_flag("--version", std::string("paceline-mpi ") + paceline::version());
  app.require_subcommand(1);
  paceline::add_run(app, world);
  paceline::add_study(app, world);
  paceline::add_ping_pong(app, world);
  paceline::add_all_reduce(app, world);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {
    if (world.rank() == 0) app.exit(asked);
    return 0;
  } catch (const CLI::ParseError& error) {
    return complain(world, kInputWrong, error.what());
  } catch (const paceline::InputError& error) {
    return complain(world, kInputWrong, error.what());
  } catch (const paceline::CheckFailed& error) {
    return complain(world, kCheckFailed, error.what());
  } catch (const std::bad_alloc&) {
    return complain(world, kInputWrong, "there is not enough memory for this");
  } catch (const std::exception& error) {
    return complain(world, kOurFault, error.what());
  }
}
