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
#include "base/json.hpp"
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
const std::vector<std::string> kShardings{"iid", "dirichlet", "by_label"};
const std::vector<std::string> kDecays{"constant", "cosine"};

// "warm_up_steps" or "warm_up_epochs".
TrainingDate read_date(ObjectReader& r, const std::string& steps, const std::string& epochs) {
  const bool in_steps = r.has(steps), in_epochs = r.has(epochs);
  if (in_steps && in_epochs) r.fail_at(epochs, fmt::format("'{}' is given too", steps));
  if (in_epochs) return {r.number(epochs, 0, 1e9), true};
  if (in_steps) return {static_cast<double>(r.integer(steps, 0)), false};
  return {};
}

LearningRate read_learning_rate(ObjectReader& outer) {
  constexpr double kMost = 1e6;
  LearningRate rate;
  if (!outer.has("learning_rate")) return rate;
  if (outer.raw("learning_rate").is_number()) {
    rate.base = outer.number("learning_rate", 0, kMost);
    return rate;
  }
  ObjectReader r = outer.object("learning_rate");
  rate.base = r.number("base", 0, kMost, rate.base);
  rate.warm_up = read_date(r, "warm_up_steps", "warm_up_epochs");
  if (r.has("drops"))
    for (ObjectReader& item : r.objects("drops")) {
      LearningRate::Drop drop;
      drop.at = read_date(item, "step", "epoch");
      if (!item.has("step") && !item.has("epoch")) item.fail("expected a 'step' or an 'epoch'");
      drop.factor = item.number("factor", 0, kMost, drop.factor);
      item.finish();
      rate.drops.push_back(drop);
    }
  rate.cosine = r.choice("decay", kDecays, "constant") == "cosine";
  rate.linear_scaling = r.boolean("linear_scaling", false);
  r.finish();
  return rate;
}

DataOptions read_data(ObjectReader& outer) {
  DataOptions data;
  if (!outer.has("data")) return data;
  if (outer.raw("data").is_string()) {
    data.name = outer.choice("data", dataset_names());
    return data;
  }
  ObjectReader r = outer.object("data");
  data.name = r.choice("name", dataset_names(), data.name);
  data.folder = r.string("folder", "");
  if (r.has("train")) data.train = r.integer("train", 1);
  if (r.has("test")) data.test = r.integer("test", 1);
  data.seed = static_cast<std::uint64_t>(r.integer_or("seed", 1, 0));
  data.steps = r.integer_or("steps", data.steps, 1, 100'000);
  data.words = r.integer_or("words", data.words, 1, 10'000'000);
  r.finish();
  return data;
}

Sharding read_sharding(ObjectReader& outer) {
  Sharding sharding;
  if (!outer.has("sharding")) return sharding;
  if (outer.raw("sharding").is_string()) {
    sharding.kind = sharding_kind_from_string(outer.choice("sharding", kShardings));
    return sharding;
  }
  ObjectReader r = outer.object("sharding");
  sharding.kind = sharding_kind_from_string(r.choice("kind", kShardings, "iid"));
  sharding.alpha = r.number("alpha", 1e-6, 1e9, sharding.alpha);
  sharding.pieces = r.integer_or("pieces", sharding.pieces, 1, 1'000'000);
  r.finish();
  return sharding;
}

Json write_date(const TrainingDate& date) {
  return date.epochs ? Json(date.value) : Json(static_cast<std::int64_t>(date.value));
}

Json write_learning_rate(const LearningRate& rate) {
  Json json{{"base", rate.base}};
  json[rate.warm_up.epochs ? "warm_up_epochs" : "warm_up_steps"] = write_date(rate.warm_up);
  json["drops"] = Json::array();
  for (const LearningRate::Drop& drop : rate.drops)
    json["drops"].push_back(
        {{drop.at.epochs ? "epoch" : "step", write_date(drop.at)}, {"factor", drop.factor}});
  json["decay"] = kDecays[rate.cosine ? 1 : 0];
  json["linear_scaling"] = rate.linear_scaling;
  return json;
}

double momentum_of(const JobDescription& job) {
  return job.training->momentum.value_or(job.momentum ? double{kDefaultMomentum} : 0);
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
  if (!job.momentum && momentum_of(job) > 0)
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

TrainingDescription read_training(ObjectReader r) {
  TrainingDescription training;
  training.data = read_data(r);
  training.sharding = read_sharding(r);
  training.learning_rate = read_learning_rate(r);
  if (r.has("momentum")) training.momentum = r.number("momentum", 0, 0.999999);
  training.nesterov = r.boolean("nesterov", false);
  training.weight_decay = r.number("weight_decay", 0, 1, 0);
  training.clip_norm = r.number("clip_norm", 0, 1e9, 0);
  training.augment = r.boolean("augment", false);
  training.evaluation_samples =
      r.integer_or("evaluation_samples", training.evaluation_samples, 1, 10'000'000);
  if (r.has("evaluate_every")) training.evaluate_every = r.integer("evaluate_every", 1);
  if (r.has("target")) training.target = r.number("target", 0, 1);
  if (r.has("until_accuracy")) training.until_accuracy = r.number("until_accuracy", 0, 1);
  training.backend = r.string("backend", "");
  if (r.has("threads")) training.threads = r.integer("threads", 1, 4096);
  r.finish();
  return training;
}

Json write_training(const TrainingDescription& training) {
  Json data{{"name", training.data.name}};
  if (!training.data.folder.empty()) data["folder"] = training.data.folder.string();
  if (training.data.train) data["train"] = *training.data.train;
  if (training.data.test) data["test"] = *training.data.test;
  data["seed"] = training.data.seed;
  data["steps"] = training.data.steps;
  data["words"] = training.data.words;
  Json json{{"data", std::move(data)}};
  json["sharding"] = {{"kind", to_string(training.sharding.kind)},
                      {"alpha", training.sharding.alpha},
                      {"pieces", training.sharding.pieces}};
  json["learning_rate"] = write_learning_rate(training.learning_rate);
  if (training.momentum) json["momentum"] = *training.momentum;
  json["nesterov"] = training.nesterov;
  json["weight_decay"] = training.weight_decay;
  json["clip_norm"] = training.clip_norm;
  json["augment"] = training.augment;
  json["evaluation_samples"] = training.evaluation_samples;
  if (training.evaluate_every) json["evaluate_every"] = *training.evaluate_every;
  if (training.target) json["target"] = *training.target;
  if (training.until_accuracy) json["until_accuracy"] = *training.until_accuracy;
  json["backend"] = training.backend;
  return json;
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
