#include "mpi/sweep_command.hpp"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "answer.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "mpi/study_ranks.hpp"
#include "study_options.hpp"
#include "sweep_text.hpp"
#include "table.hpp"

namespace paceline {
namespace {

struct StudyRun {
  explicit StudyRun(CLI::App& command) : study(command) {}
  StudyOptions study;
  OutputOptions output;
  std::string out;
};

SweepProgress handed_out(const Study& study, const std::string& file, const World& world) {
  try {
    Store store(file, Database::Mode::write);
    StudyRanks ranks(world);
    return sweep_with(ranks, study, store, {.progress = sweep_progress(file)});
  } catch (const InputError& error) {  // of the store: the others wait for this one
    if (world.size() == 1) throw;
    end_progress();
    fmt::print(stderr, "paceline-mpi: {}\n", error.what());
    World::abort(2);
  }
}

void run(const StudyRun& options, const World& world) {
  Study study = options.study.study(StudyUse::sweep);
  if (study.name.empty()) study.name = "sweep";
  study.check_values();
  if (!world.equal(study.definition().dump()))
    throw InputError("the ranks have read different studies: is the file the same everywhere?");
  if (world.rank() != 0) return make_points(world, study);
  const std::string file = options.out.empty() ? study.name + ".db" : options.out;
  const SweepProgress result = handed_out(study, file, world);
  end_progress();
  options.output.print({[&] { return sweep_summary(study, file, result); },
                        [&] { return sweep_json(study, file, result); }});
  std::cout.flush();
  complain_of_failed(result, file);
}

}  // namespace

void add_study(CLI::App& app, const World& world) {
  CLI::App* command = app.add_subcommand(
      "sweep", "Run a study: the points by all ranks, kept in a store by rank 0");
  command->footer(
      "As 'paceline sweep', one point at a time on every rank; the same bytes of export whatever "
      "their number.\n"
      "Examples:\n"
      "  mpirun -n 64 paceline-mpi sweep network-1-to-400g\n"
      "  srun -n 64 --mpi=pmix paceline-mpi sweep study.json -o mine.db");
  const auto options = std::make_shared<StudyRun>(*command);
  options->output.add_to(*command, false);
  add_progress_flag(*command);
  options->study.add_samples(*command);
  command->add_option("-o,--out", options->out,
                      "the store (NAME.db); what it has is not made again");
  command->callback([options, &world] { run(*options, world); });
}

}  // namespace paceline
