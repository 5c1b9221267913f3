#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/json.hpp"
#include "commands.hpp"
#include "experiments/floors.hpp"
#include "options.hpp"
#include "report.hpp"

namespace paceline {
namespace {

struct BoundsOptions {
  explicit BoundsOptions(CLI::App& command) : experiment(command) {}
  ExperimentOptions experiment;
  OutputOptions output;
};

Json bounds_json(const PreparedJob& job, const std::vector<Floor>& floors,
                 const std::vector<EvaluatedBound>& bounds, const std::optional<Floor>& reference) {
  Json json{
      {"format", "paceline-bounds-1"},        {"model", job.model},
      {"schedule", job.spec.schedule.name},   {"workers", job.spec.gpus.size()},
      {"one_gpu_time_s", job.one_gpu_time_s}, {"rounds_formula", job.spec.schedule.rounds_formula}};
  json["floors"] = Json::array();
  const auto row_of = [](const Floor& floor) {
    return Json{
        {"name", floor.name}, {"iteration_s", floor.iteration_s}, {"made_of", floor.made_of}};
  };
  for (const Floor& floor : floors) json["floors"].push_back(row_of(floor));
  if (reference) json["reference"] = row_of(*reference);
  json["bounds"] = Json::array();
  for (const EvaluatedBound& bound : bounds) {
    Json row{{"name", bound.name}, {"formula", bound.formula}, {"source", bound.source}};
    if (bound.reference) row["reference"] = true;
    if (bound.iteration_s) row["iteration_s"] = *bound.iteration_s;
    if (bound.speedup) {
      row["speedup"] = *bound.speedup;
      row["over"] = bound.over;
    }
    json["bounds"].push_back(std::move(row));
  }
  return json;
}

void run(const BoundsOptions& options) {
  const ExperimentText text = options.experiment.text();
  const Prepared prepared = prepare(read_experiment(text.json, text.file));
  const PreparedJob& job = prepared.jobs.front();
  const Cluster& cluster = *prepared.simulation.cluster;
  const std::vector<Floor> floors = expected_floors(job, cluster);
  const std::vector<EvaluatedBound> bounds = paper_bounds(job, cluster);
  const std::optional<Floor> reference = dense_reference(job, cluster);
  const auto table = [&] {
    std::string lines =
        fmt::format("{}, {} workers on {}\n{}: {}\n\n{}", job.model, job.spec.gpus.size(),
                    cluster.name(), job.spec.schedule.name, job.spec.schedule.description,
                    bounds_report(floors, bounds, nullptr, reference ? &*reference : nullptr));
    if (!job.spec.schedule.rounds_formula.empty())
      lines += fmt::format("\n  communication rounds in T iterations on N workers: {}\n",
                           job.spec.schedule.rounds_formula);
    for (const ProfileUse& profile : job.profiles)
      lines += fmt::format("  profile: {}\n", profile.description);
    return lines;
  };
  options.output.print({table, [&] { return bounds_json(job, floors, bounds, reference); }});
}

}  // namespace

void add_bounds(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "bounds", "Floors and the papers' formulas for an experiment, without simulating it");
  command->footer(
      "Examples:\n"
      "  paceline bounds reference-wfbp\n"
      "  paceline bounds -m resnet50 -b 32 -c 16x1-1080ti-10gbe --json");
  const auto options = std::make_shared<BoundsOptions>(*command);
  options->output.add_to(*command, false);
  command->callback([options] { run(*options); });
}

}  // namespace paceline
