#include "experiments/training.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <thread>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "experiments/experiment.hpp"
#include "experiments/prepare.hpp"
#include "experiments/result.hpp"
#include "kernels/backend.hpp"
#include "models/graph.hpp"
#include "sim/values/network_engine.hpp"

namespace paceline {
namespace {

constexpr double kFloatBytes = 4;
const Default kDefaultMomentum{"training.momentum", 0.9, "", "of SGD"};
const Default kDefaultEvaluations{"training.evaluations", 10, "", "in the course of a training"};

double momentum_of(const JobDescription& job) {
  return job.training->momentum.value_or(
      job.optimizer == Optimizer::sgd ? 0 : double{kDefaultMomentum});
}

// The weights and what goes with them, of all workers and servers; the least that a run takes.
double job_bytes(const JobDescription& job, const PreparedJob& prepared) {
  const double copy = kFloatBytes * static_cast<double>(job.model->parameters());
  const double slots = momentum_of(job) > 0 ? 1 : 0;
  const double worker =
      training_memory_bytes(*job.model, *job.batch, static_cast<int>(slots), kFloatBytes) +
      prepared.spec.schedule.extra_copies * copy;
  const double servers = prepared.spec.schedule.server ? (1 + slots) * copy : 0;
  return static_cast<double>(job.gpus.size()) * worker + servers;
}

double available_memory_bytes() {
  std::ifstream stream("/proc/meminfo");
  std::string line;
  while (std::getline(stream, line))
    if (line.starts_with("MemAvailable:")) return 1024 * std::stod(line.substr(13));
  return 0;
}

void check_memory(const std::vector<JobDescription>& descriptions,
                  const std::vector<PreparedJob>& jobs) {
  double needed = 0;
  std::string parts;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!descriptions[i].training) continue;
    const double bytes = job_bytes(descriptions[i], jobs[i]);
    needed += bytes;
    parts +=
        fmt::format("{}{} workers x {}", parts.empty() ? "" : " + ", descriptions[i].gpus.size(),
                    format_bytes(bytes / static_cast<double>(descriptions[i].gpus.size())));
  }
  const double available = available_memory_bytes();
  if (available > 0 && needed > available)
    throw InputError(
        fmt::format("training on real values needs at least {} of this machine's memory ({}: "
                    "weights, gradient, velocity, activations and what the schedule keeps), and "
                    "{} are available",
                    format_bytes(needed), parts, format_bytes(available)));
}

void check_job(const JobDescription& job) {
  const auto fail = [&](const std::string& message) {
    throw InputError(fmt::format("job '{}': $.training: {}", job.name, message));
  };
  if (!job.batch) fail("training on real values needs a \"batch\"");
  if (job.batch_split != BatchSplit::equal)
    fail("training on real values deals equal batches: \"batch_split\" must be \"equal\"");
  if (job.optimizer == Optimizer::adam)
    fail(
        "values are trained by \"sgd\" or \"momentum\" (or a schedule of its own optimiser, "
        "1-bit-adam)");
  if (job.optimizer == Optimizer::sgd && momentum_of(job) > 0)
    fail("\"momentum\" with \"optimizer\": \"sgd\", which has none");
  if (job.training->nesterov && momentum_of(job) <= 0) fail("\"nesterov\" needs \"momentum\"");
  if (!job.training->backend.empty()) {
    try {
      kernels::check_backend_name(job.training->backend);
    } catch (const InputError& error) {
      fail(error.what());
    }
  }
}

TrainingOptions engine_options(const JobDescription& job, std::uint64_t seed) {
  const TrainingDescription& training = *job.training;
  TrainingOptions options;
  options.workers = job.gpus.size();
  options.batch = *job.batch;
  options.micro_batches = job.accumulation;
  options.backend = training.backend;
  options.sharding = training.sharding;
  options.sharding.seed = seed;
  options.augment = training.augment;
  options.momentum = momentum_of(job);
  options.nesterov = training.nesterov;
  options.weight_decay = training.weight_decay;
  options.clip_norm = training.clip_norm;
  options.evaluation_samples = training.evaluation_samples;
  options.seed = seed;
  return options;
}

void add_values(const JobDescription& job, JobSpec& spec) {
  const TrainingDescription& training = *job.training;
  const std::shared_ptr<const Dataset> data = open_dataset(training.data);
  spec.values = make_network_engine(*job.model, data, engine_options(job, spec.seed));
  const auto evaluations = static_cast<std::int64_t>(kDefaultEvaluations);
  spec.evaluate_every =
      training.evaluate_every.value_or((spec.steps + evaluations - 1) / evaluations);
  spec.until_accuracy = training.until_accuracy;
  const auto samples_per_step =
      static_cast<double>(job.gpus.size()) * static_cast<double>(*job.batch * job.accumulation);
  spec.learning_rate = training.learning_rate.schedule(
      job.gpus.size(), spec.steps,
      static_cast<double>(data->size(Split::train)) / samples_per_step);
}

// What the training asks of an optimiser that the schedule does not use.
std::vector<std::string> optimiser_warnings(const JobDescription& job, const Schedule& schedule) {
  if (!schedule.own_update) return {};
  std::vector<std::string> idle;
  const auto note = [&](const char* what, double value) {
    if (value > 0) idle.push_back(fmt::format("{} {}", what, value));
  };
  note("momentum", momentum_of(job));
  note("weight decay", job.training->weight_decay);
  note("clipping at norm", job.training->clip_norm);
  if (idle.empty()) return {};
  return {
      fmt::format("{} ({}) subtracts its mean from the weights itself: the optimiser's {} {} "
                  "not act",
                  schedule.name, schedule.description, fmt::join(idle, ", "),
                  idle.size() == 1 ? "does" : "do")};
}

}  // namespace

std::function<double(std::int64_t)> LearningRate::schedule(std::size_t workers, std::int64_t steps,
                                                           double steps_per_epoch) const {
  const double peak = linear_scaling ? base * static_cast<double>(workers) : base;
  const double start = linear_scaling ? base : 0;
  const double warm = warm_up.steps(steps_per_epoch);
  std::vector<std::pair<double, double>> dated;
  for (const Drop& drop : drops) dated.emplace_back(drop.at.steps(steps_per_epoch), drop.factor);
  const auto last = static_cast<double>(steps);
  return [=, half_cosine = cosine](std::int64_t number) {
    const auto step = static_cast<double>(number);
    if (step < warm) return start + (peak - start) * (step + 1) / std::max(1.0, warm);
    double rate = peak;
    for (const auto& [date, factor] : dated)
      if (step >= date) rate *= factor;
    if (half_cosine && last > warm)
      rate *= 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, (step - warm) / (last - warm))));
    return rate;
  };
}

void add_training(const std::vector<JobDescription>& descriptions, std::vector<PreparedJob>& jobs,
                  SimulationSpec& simulation) {
  for (const JobDescription& job : descriptions)
    if (job.training) check_job(job);
  check_memory(descriptions, jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const JobDescription& job = descriptions[i];
    if (!job.training) continue;
    add_values(job, jobs[i].spec);
    for (std::string& warning : optimiser_warnings(job, jobs[i].spec.schedule))
      jobs[i].warnings.push_back(std::move(warning));
    simulation.jobs[i] = jobs[i].spec;
    const auto threads = job.training->threads.value_or(
        std::max<std::int64_t>(1, std::thread::hardware_concurrency()));
    simulation.threads = std::max(simulation.threads, static_cast<std::size_t>(threads));
  }
}

TrainingOutcome training_outcome(const JobDescription& description, const PreparedJob& prepared,
                                 const TrainingLog& log) {
  const TrainingDescription& training = *description.training;
  TrainingOutcome outcome;
  outcome.data = training.data.name;
  outcome.sharding = to_string(training.sharding.kind);
  outcome.backend = training.backend.empty() ? kernels::fastest_cpu_backend() : training.backend;
  outcome.weights = log.weights;
  outcome.memory_bytes = job_bytes(description, prepared);
  if (log.diverged_step >= 0) {
    outcome.diverged_step = log.diverged_step;
    if (log.diverged_worker >= 0) outcome.diverged_worker = log.diverged_worker;
  }
  const auto sound = [&](std::int64_t step, double loss) {
    return std::isfinite(loss) && (log.diverged_step < 0 || step < log.diverged_step);
  };
  for (const LossPoint& point : log.steps)
    if (sound(point.step, point.loss)) outcome.steps.push_back(point);
  outcome.staleness_mean = log.staleness;
  if (log.staleness) outcome.staleness_max = log.most_stale;
  for (const CompressionSample& sample : log.compression) {
    if (!sound(sample.step, sample.residual_norm)) continue;
    if (!outcome.compression) outcome.compression.emplace();
    outcome.compression->push_back({sample.step, sample.label, sample.elements, sample.selected,
                                    sample.residual_norm, sample.error, sample.delta});
  }
  for (const EvaluationPoint& point : log.evaluations)
    if (sound(point.step, point.loss)) outcome.evaluations.push_back(point);
  find_target(outcome, training.target ? training.target : training.until_accuracy);
  if (!outcome.diverged_step && !outcome.steps.empty())
    outcome.final_training_loss = outcome.steps.back().loss;
  if (!outcome.diverged_step && !outcome.evaluations.empty()) {
    const EvaluationPoint& last = outcome.evaluations.back();
    outcome.final_loss = last.loss;
    outcome.final_accuracy = last.accuracy;
    outcome.final_spread = last.spread;
  }
  return outcome;
}

void find_target(TrainingOutcome& outcome, std::optional<double> target) {
  outcome.target = target;
  outcome.time_to_target_s.reset();
  outcome.steps_to_target.reset();
  if (!target) return;
  const auto reached =
      std::find_if(outcome.evaluations.begin(), outcome.evaluations.end(),
                   [&](const EvaluationPoint& point) { return point.accuracy >= *target; });
  if (reached == outcome.evaluations.end()) return;
  outcome.time_to_target_s = reached->time_s;
  outcome.steps_to_target = reached->step;
}

}  // namespace paceline
