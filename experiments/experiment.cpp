#include "experiments/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <numeric>
#include <regex>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/profile/profile.hpp"
#include "experiments/baseline.hpp"
#include "experiments/model_choice.hpp"
#include "experiments/one_gpu.hpp"
#include "models/graph.hpp"
#include "models/model_file.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/gpu_file.hpp"
#include "platforms/stack_file.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "paceline-experiment-1";
// Each micro-batch is an operation of every worker; steps and samples are only counted.
constexpr std::int64_t kMostMicroBatches = 1 << 16, kMostBatch = 1 << 30,
                       kMostSteps = 1'000'000'000'000;
constexpr double kLatestStart = 30 * 86400.0;
const std::vector<std::string> kOptimizers{"sgd", "momentum"};
const std::vector<std::string> kSplits{"equal", "proportional"};
const std::vector<std::string> kFidelities{"auto", "closed", "flow", "step"};

Json profile_choice(const Json& value, ObjectReader& r) {
  if (value.is_object() && value.contains("format"))
    return profile_json(read_profile(value, r.file() + ": " + r.path() + ".profile"));
  if (!value.is_string()) r.fail_at("profile", "expected a name, a path, or a profile");
  const auto name = value.get<std::string>();
  if (name == "analytic") return value;
  try {
    if (OneGpuTime::from_text(name)) return value;
    const std::string path = located(name, r.file());
    Profile profile = load_profile(path);
    const auto shipped = shipped_profiles();
    std::error_code ignored;
    if (std::find(shipped.begin(), shipped.end(), name) != shipped.end() &&
        !fs::exists(name, ignored))
      return name;
    return profile_json(profile);
  } catch (const InputError& error) {
    r.fail_at("profile",
              std::string(error.what()) +
                  " (or \"analytic\", or one GPU's speed, \"253/s\", or step, \"163ms\")");
  }
}

void read_profile_choice(ObjectReader& r, JobDescription& job) {
  if (!r.has("profile")) return;
  const Json& value = r.raw("profile");
  if (!value.is_object() || value.contains("format")) {
    job.profile = profile_choice(value, r);
    return;
  }
  job.profile = Json::object();
  for (const auto& [gpu, choice] : value.items()) job.profile[gpu] = profile_choice(choice, r);
}

// "period: H (500)" in the options that `show` prints: the paper's symbol stands for the name.
void name_symbols(Json& schedule) {
  if (!schedule.contains("name") || !schedule["name"].is_string()) return;
  for (const ScheduleEntry& entry : schedules()) {
    if (schedule["name"] != entry.name) continue;
    static const std::regex pattern(R"(([a-z_]+): ([A-Za-z]|tau|alpha|beta|lambda|mu)(,| \(|;|$))");
    for (std::sregex_iterator at(entry.options.begin(), entry.options.end(), pattern), end;
         at != end; ++at) {
      const std::string name = (*at)[1], symbol = (*at)[2];
      if (!schedule.contains(symbol) || schedule.contains(name)) continue;
      schedule[name] = Json(schedule[symbol]);
      schedule.erase(symbol);
    }
  }
}

// Of a schedule in a shared object: what that holds decides what runs.
void state_code(Json& schedule, ObjectReader& r) {
  if (!schedule.contains("name") || !schedule["name"].is_string()) return;
  for (const ScheduleEntry& entry : schedules()) {
    if (schedule["name"] != entry.name) continue;
    if (schedule.contains("code") && schedule["code"] != entry.code)
      r.fail_at("schedule.code",
                fmt::format("was {}, and '{}' is now {}", schedule["code"].dump(), entry.name,
                            entry.code.empty() ? "Paceline's own" : entry.code));
    if (!entry.code.empty()) schedule["code"] = entry.code;
  }
}

void read_schedule(ObjectReader& r, JobDescription& job) {
  if (!r.has("schedule")) {
    if (job.schedule.is_null()) job.schedule = {{"name", "s-sgd"}};
    return;
  }
  const Json& value = r.raw("schedule");
  job.schedule = value.is_string() ? Json{{"name", value}} : value;
  if (!job.schedule.is_object())
    r.fail_at("schedule", "expected a name, or an object with \"name\" and the schedule's options");
  name_symbols(job.schedule);
  state_code(job.schedule, r);
}

void read_all_reduce(ObjectReader& r, JobDescription& job) {
  if (!r.has("all_reduce")) return;
  const Json& value = r.raw("all_reduce");
  if (value.is_string()) {
    job.all_reduce.algorithm = all_reduce_from_name(r.choice("all_reduce", all_reduce_names()));
    return;
  }
  ObjectReader options = r.object("all_reduce");
  job.all_reduce.algorithm = all_reduce_from_name(options.choice("algorithm", all_reduce_names()));
  job.all_reduce.chunks = options.integer_or("chunks", job.all_reduce.chunks, 1, 1 << 20);
  options.finish();
}

Endpoint gpu_number(std::string_view text, ObjectReader& r) {
  Endpoint number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    r.fail_at("gpus",
              fmt::format("'{}' is not a GPU's number (expected e.g. \"0-7\" or [0, 1])", text));
  return number;
}

void read_gpus(ObjectReader& r, std::size_t available, JobDescription& job) {
  if (!r.has("gpus")) return;
  job.gpus.clear();
  const Json& value = r.raw("gpus");
  if (value.is_string()) {
    const std::string text = r.string("gpus");
    const auto dash = text.find('-');
    const Endpoint first = gpu_number(std::string_view(text).substr(0, dash), r);
    const Endpoint last =
        dash == std::string::npos ? first : gpu_number(std::string_view(text).substr(dash + 1), r);
    if (last < first) r.fail_at("gpus", fmt::format("'{}' is an empty range", text));
    if (last >= available)
      r.fail_at("gpus", fmt::format("there is no GPU {}: the cluster has {}", last, available));
    for (Endpoint gpu = first; gpu <= last; ++gpu) job.gpus.push_back(gpu);
    return;
  }
  for (const std::int64_t gpu : r.integers("gpus")) {
    if (gpu < 0 || static_cast<std::size_t>(gpu) >= available)
      r.fail_at("gpus", fmt::format("there is no GPU {}: the cluster has {}", gpu, available));
    const auto endpoint = static_cast<Endpoint>(gpu);
    if (std::find(job.gpus.begin(), job.gpus.end(), endpoint) != job.gpus.end())
      r.fail_at("gpus", fmt::format("GPU {} stands twice", gpu));
    job.gpus.push_back(endpoint);
  }
  if (job.gpus.empty()) r.fail_at("gpus", "a job needs at least one GPU");
}

// Two jobs on one GPU would share its compute, and nothing here says how.
void check_own_gpus(ObjectReader& r, const JobDescription& job,
                    const std::vector<JobDescription>& others) {
  for (const JobDescription& other : others)
    for (const Endpoint gpu : job.gpus)
      if (std::find(other.gpus.begin(), other.gpus.end(), gpu) != other.gpus.end())
        r.fail_at("gpus", fmt::format("GPU {} is job '{}''s already{}: give each job GPUs of its "
                                      "own, \"0-3\" and \"4-7\"",
                                      gpu, other.name,
                                      r.has("gpus") ? "" : ", and a job without 'gpus' has all"));
}

double start_of(ObjectReader& r) {
  const double start = r.duration("start");
  if (start > kLatestStart)
    r.fail_at("start", fmt::format("expected a date of 0 to 30 days, found {} s", start));
  return start;
}

void read_precision(ObjectReader& r, JobDescription& job) {
  if (r.has("precision"))
    job.precision = precision_from_name(r.choice("precision", precision_names()));
  if (r.has("wire")) job.wire = r.choice("wire", wire_names());
  job.payload_bits = wire_of(job) == "fp32" ? 32 : 16;
}

// What a job says itself; the rest stays as it is.
void read_job(ObjectReader& r, std::size_t available, JobDescription& job) {
  read_model_choice(r, job);
  if (r.has("batch")) job.batch = r.integer("batch", 1, kMostBatch);
  read_precision(r, job);
  job.accumulation = r.integer_or("accumulation", job.accumulation, 1, kMostMicroBatches);
  read_profile_choice(r, job);
  read_schedule(r, job);
  read_all_reduce(r, job);
  if (r.has("steps")) job.steps = r.integer("steps", 1, kMostSteps);
  if (r.has("start")) job.start_s = start_of(r);
  job.slow_while_sending = r.number("slow_while_sending", 0, 0.99, job.slow_while_sending);
  if (r.has("optimizer")) job.momentum = r.choice("optimizer", kOptimizers) == "momentum";
  if (r.has("top_k")) job.top_k = r.choice("top_k", selector_names());
  if (r.has("batch_split"))
    job.batch_split =
        r.choice("batch_split", kSplits) == "equal" ? BatchSplit::equal : BatchSplit::proportional;
  if (r.has("servers")) job.servers = r.integer("servers", 1);
  if (r.has("training")) job.training = read_training(r.object("training"));
  if (job.training && wire_of(job) == "bf16")
    r.fail_at("wire", "with values gradients are rounded to fp16 only: fp32 or fp16");
  read_gpus(r, available, job);
}

constexpr std::string_view kOfStack = "stack.";  // in "set": else it is the cluster's

/// The "set" of the stack, without its "stack.", or of the cluster.
std::vector<std::string> overrides_of(ObjectReader& r, bool stack) {
  std::vector<std::string> found;
  if (!r.has("set")) return found;
  for (const std::string& override : r.strings("set"))
    if (override.starts_with(kOfStack) == stack)
      found.push_back(stack ? override.substr(kOfStack.size()) : override);
  return found;
}

Stack read_stack_choice(ObjectReader& r) {
  const std::vector<std::string> overrides = overrides_of(r, true);
  if (!r.has("stack")) return load_stack(Stack{}.name, overrides);
  const Json& value = r.raw("stack");
  if (value.is_object()) return read_stack(value, r.file() + ": " + r.path() + ".stack", overrides);
  const std::string name = located(r.string("stack"), r.file());
  if (looks_like_path(name)) return load_stack(name, overrides);
  try {
    return load_stack(name, overrides);
  } catch (const InputError& error) {
    r.fail_at("stack", error.what());
  }
}

// An experiment's own jitter, else the cluster's, else the stack's.
Jitter read_jitter_choice(ObjectReader& r, const Experiment& experiment) {
  if (r.has("jitter")) return read_jitter(r.object("jitter"));
  if (experiment.cluster.jitter.distribution != Jitter::Distribution::none ||
      !experiment.stack.step_jitter.stated())
    return experiment.cluster.jitter;
  return {Jitter::Distribution::lognormal, experiment.stack.step_jitter.value};
}

// Another card in the nodes of the cluster: its PCIe, NVLink and network stay as they are.
void read_gpu_choice(ObjectReader& r, ClusterSpec& cluster) {
  if (!r.has("gpu")) return;
  const auto card = [&] {
    if (r.raw("gpu").is_object()) {
      ObjectReader gpu = r.object("gpu");
      return read_gpu_card(gpu);
    }
    const std::string name = located(r.string("gpu"), r.file());
    try {
      return load_gpu(name);
    } catch (const InputError& error) {
      r.fail_at("gpu", error.what());
    }
  }();
  for (NodeGroup& group : cluster.nodes)
    if (group.gpus > 0) set_card(group, card);
  validate(cluster);
}

ClusterSpec read_cluster_choice(ObjectReader& r) {
  const std::vector<std::string> overrides = overrides_of(r, false);
  const Json& value = r.raw("cluster");
  if (!value.is_object())
    return load_cluster_spec(located(r.string("cluster"), r.file()), overrides);
  if (!overrides.empty()) r.fail_at("set", "applies to a cluster given by name or path");
  return read_cluster(value, r.file() + ": " + r.path() + ".cluster");
}

Json write_job(const JobDescription& job) {
  Json json{{"name", job.name}, {"model", job.model_json}};
  if (job.batch) json["batch"] = *job.batch;
  json["precision"] = to_string(job.precision);
  json["wire"] = wire_of(job);
  json["accumulation"] = job.accumulation;
  json["profile"] = job.profile;
  json["schedule"] = job.schedule;
  json["all_reduce"] = {{"algorithm", to_string(job.all_reduce.algorithm)},
                        {"chunks", job.all_reduce.chunks}};
  if (job.steps) json["steps"] = *job.steps;
  if (job.start_s > 0) json["start"] = format_duration(job.start_s);
  json["slow_while_sending"] = job.slow_while_sending;
  json["optimizer"] = job.momentum ? "momentum" : "sgd";
  if (job.top_k) json["top_k"] = *job.top_k;
  json["batch_split"] = kSplits[static_cast<std::size_t>(job.batch_split)];
  if (job.servers) json["servers"] = *job.servers;
  if (job.training) json["training"] = write_training(*job.training);
  const bool range = job.gpus.back() - job.gpus.front() + 1 == job.gpus.size() &&
                     std::is_sorted(job.gpus.begin(), job.gpus.end());
  json["gpus"] =
      range ? Json(fmt::format("{}-{}", job.gpus.front(), job.gpus.back())) : Json(job.gpus);
  return json;
}

}  // namespace

std::string wire_of(const JobDescription& job) {
  return job.wire.value_or(default_wire(job.precision));
}

std::string who(const JobDescription& job) {
  return job.name == JobDescription{}.name ? "experiment" : fmt::format("job '{}'", job.name);
}

const std::vector<std::string>& experiment_keys() {
  static const std::vector<std::string> keys{
      "model",   "batch",     "precision", "accumulation", "cluster",
      "stack",   "set",       "profile",   "schedule",     "all_reduce",
      "steps",   "fidelity",  "network",   "seed",         "slow_while_sending",
      "start",   "optimizer", "top_k",     "jitter",       "batch_split",
      "servers", "training",  "gpus",      "extrapolate",  "baseline",
      "gpu",     "wire"};
  return keys;
}

namespace {

// One GPU's speed or step, right or wrong: who reads the profile refuses what is wrong.
bool says_one_gpu(const Json& profile) {
  try {
    return profile.is_string() && OneGpuTime::from_text(profile.get<std::string>());
  } catch (const InputError&) {
    return true;
  }
}

// What an experiment cannot do without, all at once.
void need_all(ObjectReader& r, const Json& json, const std::string& file) {
  const bool one_job = !json.contains("jobs");
  const bool analytic =
      !json.contains("profile") || json["profile"] == "analytic" || says_one_gpu(json["profile"]);
  std::string keys, flags;
  std::size_t missing = 0;
  for (const auto& [key, wanted] : {std::pair("model", one_job), std::pair("cluster", true),
                                    std::pair("batch", one_job && analytic)}) {
    if (!wanted || json.contains(key)) continue;
    if (std::string_view(key) == "batch" && json.contains("model") && json["model"].is_string() &&
        json["model"].get<std::string>().find(":batch=") != std::string::npos)
      continue;
    keys += fmt::format("{}'{}'", missing > 0 ? ", " : "", key);
    flags += fmt::format("{}--{}", missing > 0 ? " " : "", key);
    ++missing;
  }
  if (missing == 0) return;
  for (const auto& item : json.items()) {  // or misspelt: the readers of single keys say so
    std::vector<std::string> known{"model", "cluster", "batch"};
    const std::string near = nearest_name(item.key(), known);
    if (!near.empty() && near != item.key() && !json.contains(near)) return;
  }
  if (file == "command line")
    throw InputError(
        fmt::format("give {} ('paceline list models', 'paceline list clusters')", flags));
  r.fail(fmt::format("missing key{} {} (or {})", missing > 1 ? "s" : "", keys, flags));
}

}  // namespace

Experiment read_experiment(const Json& json, const std::string& file) {
  ObjectReader r(json, file);
  expect_format(r, kFormat);
  Experiment experiment;
  experiment.name = r.string("name", "");
  experiment.description = r.string("description", "");
  if (json.contains("vary"))
    r.fail_at("vary", "this experiment is a comparison: use 'paceline compare'");
  need_all(r, json, file);
  experiment.cluster = read_cluster_choice(r);
  read_gpu_choice(r, experiment.cluster);
  experiment.stack = read_stack_choice(r);
  const std::size_t available = experiment.cluster.gpu_count();
  experiment.fidelity = fidelity_from_name(r.choice("fidelity", kFidelities, "auto"));
  experiment.network =
      network_engine_from_name(r.choice("network", network_engine_names(), "auto"));
  experiment.extrapolate = r.boolean("extrapolate", true);
  experiment.seed = static_cast<std::uint64_t>(r.integer_or("seed", 1, 0));
  experiment.jitter = read_jitter_choice(r, experiment);

  if (r.has("baseline")) experiment.baseline = read_baseline(r.raw("baseline"), file);

  JobDescription common;
  common.gpus.resize(available);
  std::iota(common.gpus.begin(), common.gpus.end(), 0U);
  if (!r.has("jobs")) {
    read_job(r, available, common);
    if (!common.model) r.raw("model");  // throws
    if (common.gpus.empty()) throw InputError(fmt::format("{}: the cluster has no GPUs", file));
    experiment.jobs.push_back(std::move(common));
  } else {
    std::vector<ObjectReader> jobs = r.objects("jobs");
    if (jobs.empty()) r.fail_at("jobs", "expected at least one job");
    read_job(r, available, common);
    for (ObjectReader& reader : jobs) {
      JobDescription job = common;
      job.name = reader.string("name", fmt::format("job {}", experiment.jobs.size()));
      read_job(reader, available, job);
      reader.finish();
      if (!job.model) reader.fail("missing key 'model'");
      check_own_gpus(reader, job, experiment.jobs);
      experiment.jobs.push_back(std::move(job));
    }
  }
  r.finish();
  return experiment;
}

Json write_experiment(const Experiment& experiment) {
  Json json{{"format", kFormat}, {"name", experiment.name}};
  if (!experiment.description.empty()) json["description"] = experiment.description;
  json["cluster"] = write_cluster(experiment.cluster);
  json["stack"] = write_stack(experiment.stack);
  json["fidelity"] = to_string(experiment.fidelity);
  json["network"] = to_string(experiment.network);
  json["extrapolate"] = experiment.extrapolate;
  json["seed"] = experiment.seed;
  json["jitter"] = write_jitter(experiment.jitter);
  if (!experiment.baseline.is_null()) json["baseline"] = experiment.baseline;
  json["jobs"] = Json::array();
  for (const JobDescription& job : experiment.jobs) json["jobs"].push_back(write_job(job));
  return json;
}

Json what_decides(Json experiment) {
  experiment.erase("name");
  experiment.erase("description");
  experiment.erase("baseline");
  for (Json& job : experiment["jobs"])
    if (job.contains("training")) job["training"].erase("target");
  return Json::parse(nlohmann::json::parse(experiment.dump()).dump());
}

}  // namespace paceline
