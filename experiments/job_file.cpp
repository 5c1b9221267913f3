#include "experiments/job_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <regex>

#include "algorithms/registry.hpp"
#include "base/error.hpp"
#include "base/fields.hpp"
#include "calibrate/profile/profile.hpp"
#include "experiments/model_choice.hpp"
#include "experiments/one_gpu.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

// Each micro-batch is an operation of every worker; steps and samples are only counted.
constexpr std::int64_t kMostMicroBatches = 1 << 16, kMostBatch = 1 << 30,
                       kMostSteps = 1'000'000'000'000;
constexpr double kLatestStart = 30 * 86400.0;
const std::vector<std::string> kOptimizers{"sgd", "momentum", "adam"};
const std::vector<std::string> kSplits{"equal", "proportional"};

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

Endpoint gpu_number(std::string_view text, ObjectReader& r) {
  Endpoint number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size())
    r.fail_at("gpus",
              fmt::format("'{}' is not a GPU's number (expected e.g. \"0-7\" or [0, 1])", text));
  return number;
}

struct ModelForm {
  void read(ObjectReader& r, std::string_view, JobDescription& job) const {
    read_model_choice(r, job);
  }
  [[nodiscard]] Json write(const JobDescription& job) const { return job.model_json; }
};

/// Absent, the precision's own is written.
struct WireForm {
  void read(ObjectReader& r, std::string_view key, JobDescription& job) const {
    job.wire = r.choice(key, wire_names());
  }
  [[nodiscard]] Json write(const JobDescription& job) const { return wire_of(job); }
};

/// For all GPUs, or by GPU name.
struct ProfileForm {
  void read(ObjectReader& r, std::string_view key, Json& profile) const {
    const Json& value = r.raw(key);
    if (!value.is_object() || value.contains("format")) {
      profile = profile_choice(value, r);
      return;
    }
    profile = Json::object();
    for (const auto& [gpu, choice] : value.items()) profile[gpu] = profile_choice(choice, r);
  }
  [[nodiscard]] Json write(const Json& profile) const { return profile; }
};

struct ScheduleForm {
  void read(ObjectReader& r, std::string_view key, Json& schedule) const {
    const Json& value = r.raw(key);
    schedule = value.is_string() ? Json{{"name", value}} : value;
    if (!schedule.is_object())
      r.fail_at(key, "expected a name, or an object with \"name\" and the schedule's options");
    name_symbols(schedule);
    state_code(schedule, r);
  }
  [[nodiscard]] Json write(const Json& schedule) const { return schedule; }
};

struct AlgorithmForm {
  void read(ObjectReader& r, std::string_view key, AllReduce& algorithm) const {
    algorithm = all_reduce_from_name(r.choice(key, all_reduce_names()));
  }
  [[nodiscard]] Json write(const AllReduce& algorithm) const { return to_string(algorithm); }
};

/// Or the algorithm's name alone.
const field::ObjectOr kAllReduce{[](ObjectReader& r, std::string_view key, AllReduceOptions& x) {
  if (!r.raw(key).is_string()) return false;
  AlgorithmForm{}.read(r, key, x.algorithm);
  return true;
}};

struct TrainingForm {
  void read(ObjectReader& r, std::string_view key, TrainingDescription& training) const {
    training = read_training(r.object(key));
  }
  [[nodiscard]] Json write(const TrainingDescription& training) const {
    return write_training(training);
  }
};

/// "0-7", or [0, 1, 4].
struct GpusForm {
  std::size_t available = 0;

  void read(ObjectReader& r, std::string_view key, std::vector<Endpoint>& gpus) const {
    gpus.clear();
    const bool range = r.raw(key).is_string();
    for (const std::int64_t gpu : range ? range_of(r, key) : r.integers(key)) {
      if (gpu < 0 || static_cast<std::size_t>(gpu) >= available)
        r.fail_at(key, fmt::format("there is no GPU {}: the cluster has {}", gpu, available));
      const auto endpoint = static_cast<Endpoint>(gpu);
      if (!range && std::find(gpus.begin(), gpus.end(), endpoint) != gpus.end())
        r.fail_at(key, fmt::format("GPU {} stands twice", gpu));
      gpus.push_back(endpoint);
    }
    if (gpus.empty()) r.fail_at(key, "a job needs at least one GPU");
  }
  [[nodiscard]] Json write(const std::vector<Endpoint>& gpus) const {
    const bool range =
        gpus.back() - gpus.front() + 1 == gpus.size() && std::is_sorted(gpus.begin(), gpus.end());
    return range ? Json(fmt::format("{}-{}", gpus.front(), gpus.back())) : Json(gpus);
  }

 private:
  [[nodiscard]] std::vector<std::int64_t> range_of(ObjectReader& r, std::string_view key) const {
    const std::string text = r.string(key);
    const auto dash = text.find('-');
    const Endpoint first = gpu_number(std::string_view(text).substr(0, dash), r);
    const Endpoint last =
        dash == std::string::npos ? first : gpu_number(std::string_view(text).substr(dash + 1), r);
    if (last < first) r.fail_at(key, fmt::format("'{}' is an empty range", text));
    if (last >= available)
      r.fail_at(key, fmt::format("there is no GPU {}: the cluster has {}", last, available));
    std::vector<std::int64_t> gpus;
    for (Endpoint gpu = first; gpu <= last; ++gpu) gpus.push_back(gpu);
    return gpus;
  }
};

}  // namespace

template <class F>
static void fields(F& f, AllReduceOptions& options) {
  f.required("algorithm", options.algorithm, AlgorithmForm{});
  f.stated("chunks", options.chunks, field::Whole{1, 1 << 20});
}

static void check(const ObjectReader& r, const JobDescription& job) {
  if (job.start_s > kLatestStart)
    r.fail_at("start", fmt::format("expected a date of 0 to 30 days, found {} s", job.start_s));
  if (job.training && wire_of(job) == "bf16")
    r.fail_at("wire", "with values gradients are rounded to fp16 only: fp32 or fp16");
}

template <class F>
static void job_fields(F& f, JobDescription& job, std::size_t available) {
  f.stated("model", job, ModelForm{});
  f.optional("batch", job.batch, field::Whole{1, kMostBatch});
  f.stated("precision", job.precision, field::Choice{precision_names()});
  f.stated("wire", job, WireForm{});
  f.stated("accumulation", job.accumulation, field::Whole{1, kMostMicroBatches});
  f.stated("profile", job.profile, ProfileForm{});
  f.stated("schedule", job.schedule, ScheduleForm{});
  f.stated("all_reduce", job.all_reduce, kAllReduce);
  f.optional("steps", job.steps, field::Whole{1, kMostSteps});
  f.unless("start", job.start_s, 0, field::Duration{});
  f.stated("slow_while_sending", job.slow_while_sending, field::Number{0, 0.99});
  f.stated("optimizer", job.optimizer, field::Choice{kOptimizers});
  f.stated("recompute", job.recompute, field::Choice{recompute_names()});
  f.optional("top_k", job.top_k, field::Choice{selector_names()});
  f.stated("batch_split", job.batch_split, field::Choice{kSplits});
  f.optional("servers", job.servers, field::Whole{1});
  f.optional("training", job.training, TrainingForm{});
  f.stated("gpus", job.gpus, GpusForm{available});
}

void read_job(ObjectReader& r, std::size_t available, JobDescription& job) {
  if (job.schedule.is_null()) job.schedule = {{"name", "s-sgd"}};
  FieldReader f(r);
  job_fields(f, job, available);
  job.payload_bits = wire_of(job) == "fp32" ? 32 : 16;
  check(r, job);
}

Json write_job(const JobDescription& job) {
  JobDescription written = job;
  Json json{{"name", job.name}};
  FieldWriter f(json);
  job_fields(f, written, 0);
  return json;
}

std::vector<std::string> job_keys() {
  JobDescription job;
  FieldNames f;
  job_fields(f, job, 0);
  return std::move(f.names);
}

}  // namespace paceline
