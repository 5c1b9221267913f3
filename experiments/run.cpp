#include "experiments/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/isolated.hpp"
#include "base/version.hpp"
#include "experiments/floors.hpp"
#include "experiments/prepare.hpp"
#include "kernels/backend.hpp"

namespace paceline {
namespace {

constexpr const char* kBaseline = "s-sgd";
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

// Floors are made of everything that a job did between its measured borders, so the time they are
// held against has to hold all of that:
// - what a schedule does after its last border is in the floors and in no iteration: the mean over
//   all steps counts it;
// - an iteration lasts from the last worker's border to the last worker's next one, and the others
//   may have begun before (head_start_s);
// - links count a transfer whole when it starts: what is under way at the end, and nobody waits
//   for, is one cycle's at most, which the measured time is stretched by.
double time_for_floors(const JobOutcome& job, const PreparedJob& prepared,
                       const SimulationResult& run) {
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, job.steps));
  const auto measured =
      static_cast<double>(std::max<std::int64_t>(1, job.simulated_steps - job.measured_from));
  const auto cycle = static_cast<double>(std::max<std::int64_t>(1, prepared.spec.schedule.cycle));
  const double time =
      std::max(job.iteration_time_s, job.total_time_s / steps) + run.jobs.front().head_start_s;
  if (run.in_flight == 0) return time;
  return measured > cycle ? time * measured / (measured - cycle)
                          : std::numeric_limits<double>::infinity();
}

}  // namespace

RunResult run_alone(const Experiment& experiment, const RunAlongside& alongside) {
  Prepared prepared = prepare(experiment);
  const Cluster& cluster = *prepared.simulation.cluster;
  add_training(experiment.jobs, prepared.jobs, prepared.simulation);
  prepared.simulation.progress = alongside.progress;
  if (alongside.checkpoints) {
    prepared.simulation.checkpoints = alongside.checkpoints;
    prepared.simulation.checkpoints->identity = identity_of(experiment, prepared);
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
  result.network = run.network;
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
  if (run.ignored_conflicts == 0)
    check_floors(result.job.floors, time_for_floors(result.job, prepared.jobs.front(), run),
                 fmt::format("{} on {}", result.job.schedule, result.cluster));
  return result;
}

std::optional<Experiment> s_sgd_baseline(const Experiment& experiment) {
  const Json plain{{"name", kBaseline}};
  if (experiment.jobs.front().schedule == plain) return std::nullopt;
  Experiment baseline = experiment;
  for (JobDescription& job : baseline.jobs) {
    job.clips = job.training && job.training->clip_norm > 0;
    job.training.reset();
  }
  baseline.jobs.front().schedule = plain;
  return baseline;
}

void compare_with_s_sgd(RunResult& result, double baseline_s) {
  result.job.s_sgd_time_s = baseline_s;
  if (result.job.iteration_time_s > 0)
    result.job.speedup_over_s_sgd = baseline_s / result.job.iteration_time_s;
  compare_bounds(result.job);
}

RunResult run_experiment(const Experiment& experiment, const RunAlongside& alongside) {
  // The baseline first: with SimGrid, a fork after it has started would inherit its engine.
  double baseline_s = 0;
  const std::optional<Experiment> baseline = s_sgd_baseline(experiment);
  if (baseline)
    baseline_s = run_isolated({[&] { return Json(run_alone(*baseline).job.iteration_time_s); }}, 1)
                     .front()
                     .get<double>();
  RunResult result = run_alone(experiment, alongside);
  compare_with_s_sgd(result, baseline ? baseline_s : result.job.iteration_time_s);
  return result;
}

}  // namespace paceline
