#include "experiments/run.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/version.hpp"
#include "experiments/baseline.hpp"
#include "experiments/floors.hpp"
#include "experiments/prepare.hpp"
#include "kernels/backend.hpp"

namespace paceline {
namespace {

constexpr std::size_t kLinksShown = 8;

TimeSplit split_of(const Account& account) {
  const auto busy = [&](Activity activity) { return account.busy[static_cast<int>(activity)]; };
  TimeSplit time;
  time.forward_s = busy(Activity::forward);
  time.backward_s = busy(Activity::backward);
  time.update_s = busy(Activity::update);
  time.sparsification_s = busy(Activity::sparsify);
  time.arithmetic_s = busy(Activity::arithmetic);
  time.exposed_communication_s = account.exposed_wire;
  time.exposed_copies_s = account.exposed_copy;
  time.waiting_s = account.waiting;
  return time;
}

JobOutcome job_outcome(const JobDescription& description, const PreparedJob& prepared,
                       const JobResult& job, const SimulationResult& run, const Cluster& cluster) {
  JobOutcome outcome;
  static_cast<JobRecord&>(outcome) = prepared;
  static_cast<JobFigures&>(outcome) = job;
  outcome.spread = job.p75_s - job.p25_s > 1e-9 * job.median_s;
  outcome.extrapolated_steps = job.steps - job.simulated_steps;
  outcome.time = split_of(job.per_iteration);
  std::erase_if(outcome.assumptions, [&](const Assumption& assumption) {
    using enum Assumption::When;
    return (assumption.when == selection && outcome.time.sparsification_s == 0) ||
           (assumption.when == copies && outcome.servers == 0);
  });
  // Of the times only forward and backward come from the profile's layers.
  outcome.uncertainty_s = prepared.relative_uncertainty * outcome.time.compute_s();
  if (job.iteration_time_s > 0) {
    const auto workers = static_cast<double>(job.workers);
    outcome.speedup_over_one_gpu = workers * prepared.one_gpu_time_s / job.iteration_time_s;
    outcome.scaling_efficiency = outcome.speedup_over_one_gpu / prepared.speeds;
    if (description.batch)
      outcome.samples_per_s = workers * static_cast<double>(*description.batch) *
                              static_cast<double>(description.accumulation) / job.iteration_time_s;
  }
  outcome.message_sizes = to_string(job.message_sizes);
  outcome.floors = run_floors(job, run);
  outcome.bounds = paper_bounds(prepared, cluster);
  if (description.training)
    outcome.training = training_outcome(description, prepared, job.training);
  return outcome;
}

// What must be the same for a run to go on from a checkpoint, the contents of files included.
Json identity_of(const Experiment& experiment, const Prepared& prepared) {
  Json identity{{"version", version()},
                {"kernels", kernels::fastest_cpu_backend()},
                {"experiment", what_decides(write_experiment(experiment))},
                {"costs", Json::array()}};
  for (const PreparedJob& job : prepared.jobs) {
    Json elements = Json::array(), forward = Json::array(), backward = Json::array();
    for (const ModelShape::Item& tensor : job.spec.model.tensors) {
      elements.push_back(tensor.elements);
      forward.push_back(tensor.forward_s);
      backward.push_back(tensor.backward_s);
    }
    identity["costs"].push_back({{"elements", std::move(elements)},
                                 {"forward_s", std::move(forward)},
                                 {"backward_s", std::move(backward)}});
  }
  return identity;
}

void check_run(const JobOutcome& job, const SimulationResult& run, const std::string& cluster) {
  const std::string what = fmt::format("{} on {}", job.schedule, cluster);
  check_floors(job.floors, job.iteration_time_s, what);
  check_links(run.links, what);
}

}  // namespace

RunResult run_alone(const Experiment& experiment, const RunAlongside& alongside) {
  Prepared prepared = prepare(experiment);
  const Cluster& cluster = *prepared.simulation.cluster;
  add_training(experiment.jobs, prepared.jobs, prepared.simulation);
  prepared.simulation.progress = alongside.progress;
  if (alongside.checkpoints) {
    prepared.simulation.checkpoints = alongside.checkpoints;
    *prepared.simulation.checkpoints->identity = identity_of(experiment, prepared);
  }
  const SimulationResult run = simulate(prepared.simulation, alongside.recorder);

  RunResult result;
  result.name = experiment.name;
  for (std::size_t i = 0; i < run.jobs.size(); ++i) {
    JobOutcome outcome =
        job_outcome(experiment.jobs[i], prepared.jobs[i], run.jobs[i], run, cluster);
    compare_bounds(outcome);
    for (const std::string& warning : prepared.jobs[i].warnings)
      result.warnings.push_back(
          run.jobs.size() == 1 ? warning : fmt::format("{}: {}", outcome.name, warning));
    if (i == 0)
      result.job = std::move(outcome);
    else
      result.other_jobs.push_back(std::move(outcome));
  }
  result.cluster = cluster.name();
  result.fidelity = to_string(run.fidelity);
  result.fidelity_reason = run.fidelity_reason;
  result.flow_error_bound = run.flow_error_bound;
  result.ignored_conflicts = run.ignored_conflicts;
  result.events = run.events;
  result.links.assign(run.links.begin(), run.links.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                 kLinksShown, run.links.size())));
  result.seed = experiment.seed;
  result.version = version();
  result.experiment = write_experiment(experiment);
  if (run.ignored_conflicts > 0)
    result.warnings.push_back(
        fmt::format("closed fidelity was asked for, and {} times transfers shared a link or its "
                    "bandwidth changed under them: their times are too short, or of the old "
                    "bandwidth",
                    run.ignored_conflicts));
  // Closed forms that are blind to shared links, asked for, can be below the wire's floor.
  if (run.ignored_conflicts == 0) check_run(result.job, run, result.cluster);
  return result;
}

RunResult run_experiment(const Experiment& experiment, const RunAlongside& alongside) {
  // The baseline first: a fork after SimGrid has started would inherit its engine.
  const Baseline baseline = baseline_of(experiment);
  std::vector<std::function<Json()>> tasks;
  if (!baseline.only_if_run)
    for (const Experiment& candidate : baseline.experiments)
      tasks.push_back([&] { return Json(run_alone(candidate).job.iteration_time_s); });
  const std::vector<Json> seconds = run_isolated(tasks, 1);
  RunResult result = run_alone(experiment, alongside);
  const auto fastest = std::min_element(seconds.begin(), seconds.end());
  if (fastest != seconds.end())
    compare_with_baseline(
        result,
        schedule_option(baseline.experiments[static_cast<std::size_t>(fastest - seconds.begin())]),
        fastest->get<double>());
  return result;
}

}  // namespace paceline
