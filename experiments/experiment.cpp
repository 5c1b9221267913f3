#include "experiments/experiment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/fields.hpp"
#include "experiments/baseline.hpp"
#include "experiments/job_file.hpp"
#include "experiments/model_choice.hpp"
#include "experiments/one_gpu.hpp"
#include "models/graph.hpp"
#include "models/model_file.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/gpu_file.hpp"
#include "platforms/stack_file.hpp"

namespace paceline {
namespace {

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

/// "set" of an experiment: of its cluster, or with this prefix of its stack.
struct Overrides {
  std::vector<std::string> cluster, stack;
  static constexpr std::string_view kOfStack = "stack.";

  void read(ObjectReader& r, std::string_view key, Overrides& found) const {
    for (const std::string& override : r.strings(key))
      if (override.starts_with(kOfStack))
        found.stack.push_back(override.substr(kOfStack.size()));
      else
        found.cluster.push_back(override);
  }
};

struct ClusterForm {
  const Overrides& set;
  void read(ObjectReader& r, std::string_view key, ClusterSpec& cluster) const {
    const Json& value = r.raw(key);
    if (value.is_object() && !set.cluster.empty())
      r.fail_at("set", "applies to a cluster given by name or path");
    cluster = value.is_object() ? read_cluster(value, r.file() + ": " + r.path() + ".cluster")
                                : load_cluster_spec(located(r.string(key), r.file()), set.cluster);
  }
  [[nodiscard]] Json write(const ClusterSpec& cluster) const { return write_cluster(cluster); }
};

struct StackForm {
  const Overrides& set;
  void read(ObjectReader& r, std::string_view key, Stack& stack) const {
    const Json& value = r.raw(key);
    if (value.is_object()) {
      stack = read_stack(value, r.file() + ": " + r.path() + ".stack", set.stack);
      return;
    }
    const std::string name = located(r.string(key), r.file());
    if (looks_like_path(name)) {
      stack = load_stack(name, set.stack);
      return;
    }
    try {
      stack = load_stack(name, set.stack);
    } catch (const InputError& error) {
      r.fail_at(key, error.what());
    }
  }
  [[nodiscard]] Json write(const Stack& stack) const { return write_stack(stack); }
};

/// Another card in the nodes of the cluster: its PCIe, NVLink and network stay as they are.
struct GpuForm {
  const Overrides& set;
  void read(ObjectReader& r, std::string_view key, ClusterSpec& cluster) const {
    for (const std::string& override : set.cluster) {
      const std::string path = override.substr(0, override.find('='));
      if (path.starts_with("nodes[") && path.ends_with("].gpu"))
        r.fail_at(key, fmt::format("is the GPU of every node, and so is '{}': expected one of them",
                                   override));
    }
    const GpuSpec card = read_card(r, key);
    for (NodeGroup& group : cluster.nodes)
      if (group.gpus > 0) set_card(group, card);
    validate(cluster);
  }

 private:
  static GpuSpec read_card(ObjectReader& r, std::string_view key) {
    if (r.raw(key).is_object()) {
      ObjectReader gpu = r.object(key);
      return read_gpu_card(gpu);
    }
    const std::string name = located(r.string(key), r.file());
    try {
      return load_gpu(name);
    } catch (const InputError& error) {
      r.fail_at(key, error.what());
    }
  }
};

struct JitterForm {
  void read(ObjectReader& r, std::string_view key, Jitter& jitter) const {
    jitter = read_jitter(r.object(key));
  }
  [[nodiscard]] Json write(const Jitter& jitter) const { return write_jitter(jitter); }
};

struct BaselineForm {
  void read(ObjectReader& r, std::string_view key, Json& baseline) const {
    baseline = read_baseline(r.raw(key), r.file());
  }
  [[nodiscard]] Json write(const Json& baseline) const { return baseline; }
};

// The cluster's jitter, else the stack's.
Jitter assumed_jitter(const Experiment& experiment) {
  if (experiment.cluster.jitter.distribution != Jitter::Distribution::none ||
      !experiment.stack.step_jitter.stated())
    return experiment.cluster.jitter;
  return {Jitter::Distribution::lognormal, experiment.stack.step_jitter.value};
}

template <class F>
void experiment_fields(F& f, Experiment& experiment) {
  Overrides set;
  f.format("paceline-experiment-1");
  f.stated("name", experiment.name, field::Text{});
  f.unless("description", experiment.description, "", field::Text{});
  f.given("set", set, set);
  f.required("cluster", experiment.cluster, ClusterForm{set});
  f.given("gpu", experiment.cluster, GpuForm{set});
  if constexpr (F::kReads) experiment.stack = load_stack(Stack{}.name, set.stack);
  f.stated("stack", experiment.stack, StackForm{set});
  f.stated("fidelity", experiment.fidelity, field::Choice{fidelity_names()});
  f.stated("network", experiment.network, field::Choice{network_engine_names()});
  f.stated("extrapolate", experiment.extrapolate, field::Flag{});
  f.stated("seed", experiment.seed, field::Whole{0});
  if constexpr (F::kReads) experiment.jitter = assumed_jitter(experiment);
  f.stated("jitter", experiment.jitter, JitterForm{});
  f.unless("baseline", experiment.baseline, nullptr, BaselineForm{});
}

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

std::string wire_of(const JobDescription& job) {
  return job.wire.value_or(default_wire(job.precision));
}

std::string who(const JobDescription& job) {
  return job.name == JobDescription{}.name ? "experiment" : fmt::format("job '{}'", job.name);
}

const std::vector<std::string>& experiment_keys() {
  static const std::vector<std::string> keys = [] {
    Experiment experiment;
    FieldNames f;
    experiment_fields(f, experiment);
    for (const char* of_the_file : {"format", "name", "description"})
      std::erase(f.names, of_the_file);
    for (std::string& key : job_keys()) f.names.push_back(std::move(key));
    return std::move(f.names);
  }();
  return keys;
}

Experiment read_experiment(const Json& json, const std::string& file) {
  ObjectReader r(json, file);
  expect_format(r, "paceline-experiment-1");
  if (json.contains("vary"))
    r.fail_at("vary", "this experiment is a comparison: use 'paceline compare'");
  need_all(r, json, file);
  Experiment experiment;
  FieldReader f(r);
  experiment_fields(f, experiment);
  const std::size_t available = experiment.cluster.gpu_count();
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
  Experiment written = experiment;
  Json json;
  FieldWriter f(json);
  experiment_fields(f, written);
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
