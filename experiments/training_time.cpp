#include "experiments/training_time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "experiments/prepare.hpp"

namespace paceline {
namespace {

constexpr std::int64_t kMostSteps = 100'000'000;
constexpr std::int64_t kFewSteps = 50, kTried = 2;

// A process of its own: it may need SimGrid's engine, and leaves its memory behind.
double in_child(const std::function<double()>& seconds) {
  return run_isolated({[&] { return Json(seconds()); }}, 1).front().get<double>();
}

double timed_s(const Experiment& experiment) {
  Prepared prepared = prepare(experiment);
  add_training(experiment.jobs, prepared.jobs, prepared.simulation);
  const auto begin = std::chrono::steady_clock::now();
  simulate(prepared.simulation);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

std::int64_t steps_within(const Experiment& experiment, double seconds) {
  Experiment times = experiment;
  for (JobDescription& job : times.jobs) job.training.reset();
  const auto total_s = [&](std::int64_t steps) {
    times.jobs.front().steps = steps;
    return in_child([&] { return simulate(prepare(times).simulation).jobs.front().total_time_s; });
  };
  std::int64_t enough = 0, too_many = kMostSteps + 1;  // enough <= the answer < too_many
  double enough_s = 0, pace_s = total_s(1);
  if (pace_s > seconds)
    throw InputError(fmt::format("in {} not one step is done: the first takes {}",
                                 format_duration(seconds), format_duration(pace_s)));
  enough = 1;
  enough_s = pace_s;
  for (bool by_pace = true; too_many - enough > 1; by_pace = !by_pace) {
    // Every other guess halves what is left, or doubles: a guess costs what its steps take to simulate.
    const double halving =
        std::min(0.5 * static_cast<double>(too_many - enough), static_cast<double>(enough));
    const double more = by_pace ? (seconds - enough_s) / pace_s : halving;
    const double most = static_cast<double>(too_many - enough - 1);
    const std::int64_t steps = enough + static_cast<std::int64_t>(std::clamp(more, 1.0, most));
    const double took_s = total_s(steps);
    pace_s = (took_s - enough_s) / static_cast<double>(steps - enough);
    if (took_s > seconds) {
      too_many = steps;
    } else {
      enough = steps;
      enough_s = took_s;
    }
    if (enough == kMostSteps)
      throw InputError(fmt::format("in {} more than {} steps are done: ask for less time",
                                   format_duration(seconds), kMostSteps));
  }
  return enough;
}

double real_time_s(const Experiment& experiment) {
  const JobDescription& job = experiment.jobs.front();
  const std::int64_t steps = prepare(experiment).jobs.front().spec.steps;
  if (!job.training || steps < kFewSteps) return 0;
  Experiment few = experiment;
  for (JobDescription& each : few.jobs)
    if (each.training) {
      each.training->evaluate_every = kFewSteps;  // one evaluation, after the last step
      each.training->until_accuracy.reset();
    }
  const auto run_s = [&](std::int64_t tried) {
    few.jobs.front().steps = tried;
    return timed_s(few);
  };
  const std::int64_t every =
      job.training->evaluate_every.value_or(std::max<std::int64_t>(1, steps / 10));
  return in_child([&] {
    run_s(1);  // makes kernels
    const double one = run_s(1);
    const double step = std::max(0.0, run_s(1 + kTried) - one) / static_cast<double>(kTried);
    const double evaluation = std::max(0.0, one - step);
    const std::int64_t evaluations = every > 0 ? (steps + every - 1) / every : 1;
    return static_cast<double>(steps) * step + static_cast<double>(evaluations) * evaluation;
  });
}

}  // namespace paceline
