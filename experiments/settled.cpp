#include "experiments/settled.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace paceline {
namespace {

// The first is enough for workers that are equally fast: one further run is all.
constexpr std::int64_t kFewest = 80, kTimesAsked = 64;

bool has_enough(const SimulationResult& run) {
  return run.jobs.front().measured_steps >= kEnoughTogether;
}

bool changes(const ClusterSpec& cluster) {
  const auto always = [](double since, double until) { return since <= 0 && std::isinf(until); };
  return !cluster.link_events.empty() ||
         std::any_of(cluster.stragglers.begin(), cluster.stragglers.end(),
                     [&](const Straggler& s) { return !always(s.from, s.until); }) ||
         std::any_of(cluster.background.begin(), cluster.background.end(),
                     [&](const BackgroundTraffic& b) { return !always(b.since, b.until); });
}

bool may_be_longer(const SimulationSpec& spec) {
  return spec.jobs.size() == 1 && !spec.jobs.front().schedule.synchronous &&
         !changes(spec.cluster->spec()) && chosen(spec.network) != NetworkEngine::simgrid;
}

SimulationSpec on_time_alone(const SimulationSpec& spec) {
  SimulationSpec alone = spec;
  alone.checkpoints.reset();
  alone.progress = {};
  JobSpec& job = alone.jobs.front();
  job.values.reset();
  job.until_accuracy.reset();
  job.learning_rate = {};
  return alone;
}

// Of the longer run what is per iteration, of the one that was asked for what its steps come to.
void take_figures(SimulationResult longer, SimulationResult& run) {
  JobResult& figures = longer.jobs.front();
  JobResult& asked = run.jobs.front();
  figures.total_time_s = asked.total_time_s;
  figures.steps = asked.steps;
  figures.simulated_steps = asked.simulated_steps;
  figures.rounds = asked.rounds;
  figures.total_messages = asked.total_messages;
  figures.total_bytes = asked.total_bytes;
  figures.message_sizes = asked.message_sizes;
  figures.training = std::move(asked.training);
  longer.end_date_s = run.end_date_s;
  longer.events += run.events;
  longer.ignored_conflicts += run.ignored_conflicts;
  run = std::move(longer);
}

}  // namespace

std::int64_t settle(const SimulationSpec& spec, SimulationResult& run, Recorder* recorder) {
  if (!may_be_longer(spec) || has_enough(run)) return 0;
  SimulationSpec more = on_time_alone(spec);
  const std::int64_t asked = run.jobs.front().simulated_steps;
  std::int64_t& steps = more.jobs.front().steps;
  const std::int64_t most = kTimesAsked * std::max(kFewest, asked);
  for (steps = kFewest; steps <= most; steps *= 2) {
    if (steps <= asked) continue;
    SimulationResult longer = simulate(more, recorder);
    if (!has_enough(longer)) continue;
    take_figures(std::move(longer), run);
    return steps;
  }
  return 0;
}

}  // namespace paceline
