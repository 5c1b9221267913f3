#include "experiments/run_store.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

void find_target(JobOutcome& outcome, const JobDescription& job) {
  if (outcome.training && job.training) find_target(*outcome.training, job.training->target);
}

}  // namespace

RunStore::RunStore(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  std::error_code ignored;
  if (!fs::is_directory(folder_, ignored))
    throw InputError(fmt::format("{}: expected a folder for runs, which cannot be made: {}",
                                 folder_.string(), error.message()));
  lock_ = std::make_unique<FileLock>(folder_, "paceline keeps its runs there");
  remove_abandoned(folder_);
}

fs::path RunStore::file_of(const Experiment& experiment) const {
  const JobDescription& job = experiment.jobs.front();
  std::string name =
      fmt::format("{}_{}_seed-{}_{:016x}.json", job.model_name, job.schedule.value("name", ""),
                  experiment.seed, fnv1a64(what_decides(write_experiment(experiment)).dump()));
  for (char& c : name)
    if (c == '/') c = '-';
  return folder_ / name;
}

std::optional<Json> RunStore::find(const Experiment& experiment) const {
  const fs::path file = file_of(experiment);
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  const Json own = write_experiment(experiment);
  try {
    Json stored = load_json(file);
    RunResult result = result_from_json(stored, file.string());
    if (what_decides(result.experiment) != what_decides(own)) return std::nullopt;
    result.name = experiment.name;
    result.experiment = own;
    find_target(result.job, experiment.jobs.front());
    for (std::size_t i = 0; i < result.other_jobs.size(); ++i)
      find_target(result.other_jobs[i], experiment.jobs.at(i + 1));
    return to_json(result);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

void RunStore::keep(const Experiment& experiment, const Json& result) const {
  save_json(file_of(experiment), result);
}

}  // namespace paceline
