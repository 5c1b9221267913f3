#include "experiments/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/version.hpp"
#include "experiments/baseline.hpp"
#include "experiments/economy.hpp"
#include "experiments/floors.hpp"
#include "experiments/layers.hpp"
#include "experiments/prepare.hpp"
#include "experiments/sensitivity.hpp"
#include "experiments/settled.hpp"
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
  time.software_s = busy(Activity::software);
  time.exposed_communication_s = account.exposed_wire;
  time.exposed_copies_s = account.exposed_copy;
  time.waiting_s = account.waiting;
  return time;
}

Overlap overlap_of(const Account& account) {
  const auto hidden = [&](Activity activity) { return account.hidden[static_cast<int>(activity)]; };
  Overlap overlap;
  overlap.compute_s = account.operations();
  overlap.hidden_by_forward_s = hidden(Activity::forward);
  overlap.hidden_by_backward_s = hidden(Activity::backward);
  for (const Activity rest :
       {Activity::update, Activity::sparsify, Activity::arithmetic, Activity::software})
    overlap.hidden_by_rest_s += hidden(rest);
  overlap.communication_s = account.hidden_wire() + account.exposed_wire;
  overlap.active_s = overlap.compute_s + account.exposed_wire;
  if (overlap.communication_s > 0)
    overlap.efficiency = account.hidden_wire() / overlap.communication_s;
  return overlap;
}

JobOutcome job_outcome(const JobDescription& description, const PreparedJob& prepared,
                       const JobResult& job, const SimulationResult& run, const Cluster& cluster) {
  JobOutcome outcome;
  static_cast<JobRecord&>(outcome) = prepared;
  static_cast<JobFigures&>(outcome) = job;
  outcome.spread = job.p75_s - job.p25_s > 1e-9 * job.median_s;
  outcome.extrapolated_steps = job.steps - job.simulated_steps;
  outcome.time = split_of(job.per_iteration);
  outcome.overlap = overlap_of(job.per_iteration);
  std::erase_if(outcome.assumptions, [&](const Assumption& assumption) {
    using enum Assumption::When;
    return (assumption.when == selection && outcome.time.sparsification_s == 0) ||
           (assumption.when == copies && outcome.servers == 0);
  });
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

// A closed-form run is repeated with each input moved, if that is next to nothing; else only the
// two largest are taken, from where the time goes.
constexpr std::uint64_t kEventsToRepeat = 300'000;

std::vector<Influence> influences_of(const Experiment& experiment, const PreparedJob& prepared,
                                     const SimulationResult& run, const JobOutcome& outcome) {
  std::vector<Influence> influences;
  if (run.fidelity != Fidelity::closed || experiment.jobs.size() > 1 ||
      experiment.jobs.front().training || run.events > kEventsToRepeat) {
    // Of the times only forward and backward come from the profile's layers.
    if (const double sigma = prepared.relative_uncertainty; sigma > 0)
      influences.push_back({"computation", sigma, sigma * outcome.time.compute_s()});
    if (const double exposed = outcome.time.exposed_communication_s; exposed > 0)
      influences.push_back({"network bandwidth", kBandwidthSigma, kBandwidthSigma * exposed});
    return influences;
  }
  for (MovedInput& moved : moved_inputs(experiment, prepared.relative_uncertainty)) {
    moved.experiment.fidelity = Fidelity::closed;
    const Prepared again = prepare(moved.experiment);
    influences.push_back(
        {moved.input, moved.sigma,
         simulate(again.simulation).jobs.front().iteration_time_s - outcome.iteration_time_s});
  }
  return influences;
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

Assumption of_longer_run(std::int64_t steps, std::int64_t asked) {
  return {"figures per iteration are of", fmt::format("{} steps", steps),
          fmt::format("asynchronous workers settle beside each other only after the {} asked for; "
                      "total time, rounds and all that is learnt are of those",
                      asked)};
}

void check_run(const JobOutcome& job, const SimulationResult& run, const std::string& cluster) {
  const std::string what = fmt::format("{} on {}", job.schedule, cluster);
  check_floors(job.floors, job.iteration_time_s, what);
  check_links(run.links, what);
}

}  // namespace

RunResult result_of(const Experiment& experiment, const Prepared& prepared,
                    const SimulationResult& run) {
  const Cluster& cluster = *prepared.simulation.cluster;
  RunResult result;
  result.name = experiment.name;
  for (std::size_t i = 0; i < run.jobs.size(); ++i) {
    JobOutcome outcome =
        job_outcome(experiment.jobs[i], prepared.jobs[i], run.jobs[i], run, cluster);
    compare_bounds(outcome);
    if (run.jobs[i].measured_steps <= 0)
      result.warnings.push_back(fmt::format(
          "{}: no whole iteration was measured before the first job ended: its figures are zero",
          outcome.name));
    const JobSpec& spec = prepared.jobs[i].spec;
    const double measured = run.jobs[i].measured_steps;
    if (!spec.schedule.synchronous && measured > 0 && measured < kEnoughTogether)
      result.warnings.push_back(fmt::format(
          "{}: until the first worker ended, the mean one did {:.2g} steps beside all others: the "
          "figures are of those few; give it {:.0f} steps or more",
          outcome.name, measured,
          std::ceil(static_cast<double>(spec.steps) * kEnoughTogether / measured)));
    for (const std::string& warning : prepared.jobs[i].warnings)
      result.warnings.push_back(
          run.jobs.size() == 1 ? warning : fmt::format("{}: {}", outcome.name, warning));
    if (i == 0)
      result.job = std::move(outcome);
    else
      result.other_jobs.push_back(std::move(outcome));
  }
  result.cluster = cluster.name();
  result.stack = experiment.stack.name;
  result.stack_description = experiment.stack.description;
  result.fidelity = to_string(run.fidelity);
  result.fidelity_reason = run.fidelity_reason;
  result.network = run.network;
  result.flow_error_bound = run.flow_error_bound;
  result.ignored_conflicts = run.ignored_conflicts;
  result.events = run.events;
  result.links.assign(run.links.begin(), run.links.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                 kLinksShown, run.links.size())));
  result.cost = cost_of(cluster, result.job);
  result.energy = energy_of(cluster, prepared, run, result.job);
  result.seed = experiment.seed;
  result.version = version();
  result.experiment = write_experiment(experiment);
  return result;
}

RunResult run_alone(const Experiment& experiment, const RunAlongside& alongside) {
  Prepared prepared = prepare(experiment);
  add_training(experiment.jobs, prepared.jobs, prepared.simulation);
  prepared.simulation.progress = alongside.progress;
  if (alongside.checkpoints) {
    prepared.simulation.checkpoints = alongside.checkpoints;
    *prepared.simulation.checkpoints->identity = identity_of(experiment, prepared);
  }
  Recorder own;
  Recorder* const recorder =
      alongside.layers && alongside.recorder == nullptr ? &own : alongside.recorder;
  if (alongside.layers) recorder->layers.emplace();
  SimulationResult run = simulate(prepared.simulation, recorder);
  Recorder of_longer;
  if (alongside.layers) of_longer.layers.emplace();
  const std::int64_t longer =
      settle(prepared.simulation, run, alongside.layers ? &of_longer : nullptr);
  if (const auto warm_up = warm_up_warning(prepared.jobs.front().spec); longer > 0 && warm_up)
    std::erase(prepared.jobs.front().warnings, *warm_up);
  RunResult result = result_of(experiment, prepared, run);
  if (longer > 0) result.job.assumptions.push_back(of_longer_run(longer, result.job.steps));
  if (alongside.layers)
    result.layers =
        layer_table(longer > 0 ? *of_longer.layers : *recorder->layers, prepared.jobs.front().spec);
  if (alongside.uncertainty) {
    result.job.influences = influences_of(experiment, prepared.jobs.front(), run, result.job);
    add_unexplained(experiment, result.job.iteration_time_s, result.job.influences);
    result.job.uncertainty_s = combined_s(result.job.influences);
  }
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
  // The baseline first: with SimGrid, a fork after it has started would inherit its engine.
  const Baseline baseline = baseline_of(experiment);
  std::vector<std::function<Json()>> tasks;
  const auto iteration_of = [&tasks](const Experiment& other) {
    tasks.push_back(
        [&other] { return Json(run_alone(other, {.uncertainty = false}).job.iteration_time_s); });
  };
  const std::vector<Experiment> none;
  const std::vector<Experiment>& candidates = baseline.only_if_run ? none : baseline.experiments;
  for (const Experiment& candidate : candidates) iteration_of(candidate);
  // So are the runs with moved inputs, where they are asked for.
  std::vector<MovedInput> inputs;
  if (alongside.sensitivity)
    inputs = moved_inputs(experiment, prepare(experiment).jobs.front().relative_uncertainty);
  for (const MovedInput& input : inputs) iteration_of(input.experiment);
  const std::vector<Json> seconds = run_isolated(tasks, std::max(1U, alongside.parallel));
  RunAlongside own = alongside;
  own.uncertainty = !alongside.sensitivity;
  RunResult result = run_alone(experiment, own);
  if (alongside.sensitivity) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      result.job.influences.push_back(
          {inputs[i].input, inputs[i].sigma,
           seconds[candidates.size() + i].get<double>() - result.job.iteration_time_s});
    add_unexplained(experiment, result.job.iteration_time_s, result.job.influences);
    result.job.uncertainty_s = combined_s(result.job.influences);
  }
  const auto end = seconds.begin() + static_cast<std::ptrdiff_t>(candidates.size());
  if (const auto fastest = std::min_element(seconds.begin(), end); fastest != end)
    compare_with_baseline(
        result, schedule_option(candidates[static_cast<std::size_t>(fastest - seconds.begin())]),
        fastest->get<double>());
  return result;
}

}  // namespace paceline
