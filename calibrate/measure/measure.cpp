#include "calibrate/measure/measure.hpp"

#include <fmt/format.h>

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <random>

#include "base/error.hpp"
#include "base/units.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/gpu.hpp"
#include "calibrate/measure/operations.hpp"
#include "calibrate/profile/step_costs.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kClosureTolerance = 0.05;
constexpr double kLeastClosure = 0.1;    // of a profile to go on with
constexpr double kMostUncertainty = 10;  // that a profile may have
constexpr const char* kCpuMethod =
    "training steps, alternately timed layer by layer and whole; samples during which the core was "
    "taken away dropped; medians and quartiles";
constexpr const char* kGpuMethod =
    "forward and backward as one CUDA graph: replays timed whole, and with events between the "
    "layers; samples at less than 0.95 of the median SM clock dropped; medians and quartiles";

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

[[noreturn]] void refuse_known(const std::string& why) {
  throw InputError(
      fmt::format("the profile to go on with {}: give another output file, or --again", why));
}

void check_known_batch(const Model& model, const Profile& known, const BatchTimes& times) {
  if (!times.batch) refuse_known("does not state its batch");
  const auto refuse = [&](std::string_view why) {
    refuse_known(fmt::format("is no measurement of ours: its batch {} {}", *times.batch, why));
  };
  if (times.whole_net) refuse("has times of the whole network only");
  if (!times.iteration) refuse("has no 'iteration'");
  const Timing& iteration = *times.iteration;
  if (!(iteration.median_s > 0 && iteration.p25_s && *iteration.p25_s > 0))
    refuse("has an 'iteration' without a median and quartiles above 0");
  if (!times.closure_ratio || *times.closure_ratio < kLeastClosure ||
      *times.closure_ratio > 1 / kLeastClosure)
    refuse("has no believable 'closure_ratio'");
  step_costs(model, known, *times.batch);  // throws if the layers are not the model's
}

void check_known(const Model& model, const Profile& known, const Profile& fresh) {
  const auto same = [](std::string_view what, const std::string& had, const std::string& is) {
    if (had != is) refuse_known(fmt::format("is of {} '{}', not '{}'", what, had, is));
  };
  same("model", known.model, fresh.model);
  same("device", known.device, fresh.device);
  same("precision", known.precision, fresh.precision);
  same("source", to_string(known.source), to_string(fresh.source));
  const auto backend = [](const Profile& profile) {
    const auto found = profile.software.find("backend");
    return found == profile.software.end() ? std::string("unknown") : found->second;
  };
  same("software", backend(known), backend(fresh));
  for (const BatchTimes& times : known.batches) check_known_batch(model, known, times);
  const auto object = [](const Json& json) { return json.is_object(); };
  if (!object(known.metadata)) refuse_known("has metadata that are no object");
  for (const char* key : {"batches", "operations"})
    if (known.metadata.contains(key) && !object(known.metadata.at(key)))
      refuse_known(fmt::format("has metadata.{} that is no object", key));
  if (known.metadata.contains("batches"))
    for (const Json& record : known.metadata.at("batches"))
      if (!object(record)) refuse_known("has metadata.batches that are no objects");
  if (!known.operations.launch_s && known.metadata.contains("operations"))
    check_operations_record(known.metadata.at("operations"));
}

// The spread of an iteration, and what the layers miss of it.
double uncertainty_of(const std::vector<BatchTimes>& batches) {
  double worst = 0;
  for (const BatchTimes& times : batches) {
    const double sigma = (*times.iteration->p75_s - *times.iteration->p25_s) / 1.349;
    worst = std::max(
        worst, std::hypot(sigma / times.iteration->median_s, times.closure_ratio.value_or(1) - 1));
  }
  return std::min(worst, kMostUncertainty);
}

Profile new_profile(const Model& model, const kernels::Backend& backend,
                    const MeasureOptions& options) {
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.device = options.device.empty() ? cpu_name() : options.device;
  profile.model = model.name();
  profile.precision = options.precision;
  profile.description = backend.description() + (options.device.empty() ? ", one core" : "");
  profile.software = options.software;
  profile.software["backend"] = backend.description();
  profile.software["tool"] = options.tool;
  const bool on_gpu = dynamic_cast<const kernels::CudaBackend*>(&backend) != nullptr;
  profile.metadata = {
      {"date", utc_now()},
      {"method", on_gpu ? kGpuMethod : kCpuMethod},
      {"warm_up",
       fmt::format("ten running medians within 1 %, at most {} s", options.warm_up_seconds)},
      {"data", options.next_batch ? "batches made anew in each step" : "standard normal, resident"},
      {"engine", backend.name()},
      {"device", options.device.empty() ? host_record() : options.device_record},
      {"batches", Json::object()}};
  if (on_gpu) {
    profile.metadata["host"] = host_record();
    profile.metadata["caches"] =
        "layers in the network as the one before left them; operators cold over buffers of more "
        "than twice the L2 in turn, or hot";
    profile.metadata["arithmetic"] =
        options.precision == "tf32"
            ? "fp32, but products and convolutions may round their inputs to TF32; NCHW"
            : "fp32 by fused multiply-adds, no TF32; NCHW";
  } else {
    profile.metadata["device"]["cores_used"] = 1;
  }
  return profile;
}

void take_operations(Profile& profile, MeasuredOperations measured) {
  profile.operations = measured.operations;
  profile.ceilings = measured.ceilings;
  profile.metadata["operations"] = std::move(measured.record);
}

std::string text_at(const Json& json, const char* object, const char* key) {
  if (!json.is_object() || !json.contains(object) || !json.at(object).is_object()) return {};
  const Json& found = json.at(object);
  return found.contains(key) && found.at(key).is_string() ? found.at(key).get<std::string>()
                                                          : std::string();
}

// Ceilings, copies and kernels of the same GPU, software and precision need no second measurement.
void take_operations_from(Profile& profile, const Profile& other) {
  const auto refuse = [](std::string_view why) {
    throw InputError(fmt::format("--operations-from: that profile {}", why));
  };
  const std::string here = text_at(profile.metadata, "device", "uuid_hash");
  if (here.empty() || text_at(other.metadata, "device", "uuid_hash") != here)
    refuse("is not of this GPU (metadata.device.uuid_hash)");
  if (other.precision != profile.precision ||
      other.software.count("backend") != profile.software.count("backend") ||
      other.software.at("backend") != profile.software.at("backend"))
    refuse("was measured with other software or precision");
  if (!other.operations.launch_s || !other.metadata.contains("operations") ||
      !other.metadata.value("operations_complete", true))
    refuse("has no complete operations");
  profile.operations = other.operations;
  profile.ceilings = other.ceilings;
  profile.metadata["operations"] = other.metadata.at("operations");
  profile.metadata["operations_from"] = {{"model", other.model},
                                         {"date", other.metadata.value("date", "unknown")}};
  profile.metadata["operations_complete"] = true;
}

// One profile under way: its batches, then of a GPU each layer alone, then the operations.
class Measurement {
 public:
  Measurement(const Model& model, kernels::Backend& backend, const MeasureOptions& options,
              Profile profile)
      : model_(model),
        backend_(backend),
        gpu_(dynamic_cast<kernels::CudaBackend*>(&backend)),
        options_(options),
        profile_(std::move(profile)) {}

  Profile run(const std::vector<std::int64_t>& batches) {
    const bool operations = gpu_ != nullptr && operations_pending();
    std::vector<std::int64_t> alone = unfinished_operators();
    if (gpu_ != nullptr && options_.operators)
      alone.insert(alone.end(), batches.begin(), batches.end());
    parts_ = static_cast<double>(batches.size() + alone.size() + (operations ? 1 : 0));
    for (const std::int64_t batch : batches)
      if (!stopped(options_)) measure(batch);
    for (const std::int64_t batch : alone)
      if (!stopped(options_) && has(batch)) measure_alone(batch);
    if (operations && !profile_.batches.empty() && !stopped(options_)) measure_operations_there();
    return std::move(profile_);
  }

 private:
  [[nodiscard]] bool has(std::int64_t batch) const {
    return std::any_of(profile_.batches.begin(), profile_.batches.end(),
                       [&](const BatchTimes& times) { return times.batch == batch; });
  }
  [[nodiscard]] bool operations_pending() const {
    return !profile_.operations.launch_s || !profile_.metadata.value("operations_complete", true);
  }
  [[nodiscard]] std::vector<std::int64_t> unfinished_operators() const {
    std::vector<std::int64_t> result;
    if (gpu_ == nullptr || !options_.operators || !profile_.metadata.contains("batches"))
      return result;
    const Json& records = profile_.metadata.at("batches");
    for (const BatchTimes& times : profile_.batches) {
      const std::string key = std::to_string(*times.batch);
      if (records.contains(key) && !records.at(key).value("operators_complete", true))
        result.push_back(*times.batch);
    }
    return result;
  }

  void report(double share) {
    const double fraction = (done_ + share) / parts_;
    if (options_.progress && fraction > 0)
      options_.progress({batch_, fraction, seconds_since(start_) * (1 - fraction) / fraction});
  }
  void save() {
    if (options_.measured) options_.measured(profile_);
  }

  void measure(std::int64_t batch) {
    batch_ = batch;
    const auto share = [&](double part) { report(part); };
    std::optional<MeasuredBatch> measured =
        gpu_ != nullptr ? measure_batch_on_gpu(model_, *gpu_, batch, options_, share)
                        : measure_batch(model_, backend_, batch, options_, share);
    if (!measured) return;
    ++done_;
    Json& record = measured->record;
    record["date"] = utc_now();
    record["tool"] = options_.tool;
    record["closure_within_5_percent"] =
        std::abs(*measured->times.closure_ratio - 1) <= kClosureTolerance;
    if (gpu_ != nullptr && options_.operators) {
      record["operators"] = Json::array();
      record["operators_complete"] = false;
    }
    profile_.metadata["batches"][std::to_string(batch)] = std::move(record);
    profile_.batches.push_back(std::move(measured->times));
    std::sort(profile_.batches.begin(), profile_.batches.end(),
              [](const BatchTimes& a, const BatchTimes& b) { return a.batch < b.batch; });
    profile_.uncertainty = uncertainty_of(profile_.batches);
    if (gpu_ == nullptr && !profile_.operations.launch_s)
      take_operations(profile_,
                      measure_operations(backend_, static_cast<std::size_t>(model_.parameters()),
                                         measured->update_s));
    save();
  }

  void measure_alone(std::int64_t batch) {
    batch_ = batch;
    Json& record = profile_.metadata["batches"][std::to_string(batch)];
    const bool all = measure_operators(
        model_, *gpu_, batch, options_, record["operators"], [&](double part) { report(part); },
        [&] { save(); });
    if (!all) return;
    ++done_;
    record["operators_complete"] = true;
    save();
  }

  void measure_operations_there() {
    profile_.metadata["operations_complete"] = false;
    GpuOperationsOptions options;
    options.most_elements = options_.most_elements;
    options.sample_seconds = std::min(2.0, options_.seconds / 5);
    options.stop = [&] { return stopped(options_); };
    options.report = [&](double part) { report(part); };
    Json record = profile_.metadata.value("operations", Json::object());
    Json& saved = profile_.metadata["operations"];
    options.save = [&] {
      saved = record;
      save();
    };
    std::optional<MeasuredOperations> measured = measure_operations_on_gpu(*gpu_, options, record);
    if (!measured) return;
    ++done_;
    take_operations(profile_, std::move(*measured));
    profile_.metadata["operations_complete"] = true;
    save();
  }

  const Model& model_;
  kernels::Backend& backend_;
  kernels::CudaBackend* const gpu_;
  const MeasureOptions& options_;
  Profile profile_;
  const Clock::time_point start_ = Clock::now();
  double parts_ = 1, done_ = 0;
  std::int64_t batch_ = 0;
};

}  // namespace

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "CPU";
}

Json host_record() {
  utsname system{};
  uname(&system);
  std::ifstream file("/proc/cpuinfo");
  std::string flags;
  for (std::string line; flags.empty() && std::getline(file, line);)
    if (line.starts_with("flags")) flags = line;
  Json isa = Json::array();
  for (const char* set : {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"})
    if (flags.find(fmt::format(" {} ", set)) != std::string::npos) isa.push_back(set);
  return {{"cpu", cpu_name()},
          {"instruction_sets", isa},
          {"virtual_machine", flags.find(" hypervisor ") != std::string::npos},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"kernel", fmt::format("{} {}", system.sysname, system.release)}};
}

Batch random_batch(const Model& model, std::int64_t batch, std::uint64_t seed) {
  const NetworkPlan plan = plan_network(model, batch);
  std::mt19937_64 random(seed);
  const auto count = [&](std::size_t value) {
    return static_cast<std::size_t>(kernels::elements(plan.values[value]));
  };
  const auto uniform = [&](std::vector<float>& values, std::int64_t below) {
    std::uniform_int_distribution<std::int64_t> number(0, below - 1);
    for (float& value : values) value = static_cast<float>(number(random));
  };
  Batch result{std::vector<float>(count(plan.input)), std::vector<float>(count(plan.labels))};
  const auto input = std::find_if(model.operations().begin(), model.operations().end(),
                                  [](const Operation& op) { return op.is<InputOp>(); });
  if (const auto entries = std::get<InputOp>(input->attributes).entries; entries > 0) {
    uniform(result.inputs, entries);
  } else {
    std::normal_distribution<float> normal;
    for (float& value : result.inputs) value = normal(random);
  }
  uniform(result.labels, std::max<std::int64_t>(model.classes(), 1));
  return result;
}

void use_precision(const std::string& precision, kernels::Backend& backend) {
  auto* const gpu = dynamic_cast<kernels::CudaBackend*>(&backend);
  if (precision != "fp32" && precision != "tf32")
    throw InputError(fmt::format(
        "--precision: '{}' is not measured here; there are fp32 and, on a GPU, tf32", precision));
  if (precision == "tf32" && gpu == nullptr)
    throw InputError("--precision: tf32 is a GPU's; a CPU computes in fp32");
  if (precision == "tf32" && gpu->device().compute_major < 8)
    throw InputError(fmt::format("--precision: tf32 needs compute capability 8.0; {} has {}.{}",
                                 gpu->device().name, gpu->device().compute_major,
                                 gpu->device().compute_minor));
  if (gpu != nullptr) gpu->allow_tf32(precision == "tf32");
}

void check_fits_memory(const Model& model, const kernels::Backend& backend, std::int64_t batch) {
  const NetworkPlan plan = plan_network(model, 1);
  double sample = 0;
  for (const auto* arrays : {&plan.values, &plan.gradients})
    for (const kernels::Dims& dims : *arrays)
      sample += sizeof(float) * static_cast<double>(kernels::elements(dims));
  // Weights, gradient and velocity.
  const double needed = sample * static_cast<double>(batch) +
                        3 * sizeof(float) * static_cast<double>(model.parameters());
  const auto* gpu = dynamic_cast<const kernels::CudaBackend*>(&backend);
  const double there = gpu != nullptr ? static_cast<double>(gpu->device().memory_bytes)
                                      : static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                                            static_cast<double>(sysconf(_SC_PAGESIZE));
  if (there > 0 && needed > there)
    throw InputError(fmt::format("batch {} of {} needs at least {}, and {} has {}", batch,
                                 model.name(), format_bytes(needed),
                                 gpu != nullptr ? gpu->device().name : "this machine",
                                 format_bytes(there)));
}

Profile measure_profile(const Model& model, kernels::Backend& backend,
                        std::vector<std::int64_t> batches, const MeasureOptions& options,
                        const std::optional<Profile>& known) {
  auto* const gpu = dynamic_cast<kernels::CudaBackend*>(&backend);
  use_precision(options.precision, backend);
  Profile profile = new_profile(model, backend, options);
  if (known) {
    check_known(model, *known, profile);
    profile = *known;
  }
  if (options.operations_from) {
    if (gpu == nullptr) throw InputError("--operations-from: a CPU's depend on the model");
    if (!profile.operations.launch_s) take_operations_from(profile, *options.operations_from);
  }
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  std::erase_if(batches, [&](std::int64_t batch) {
    return std::any_of(profile.batches.begin(), profile.batches.end(),
                       [&](const BatchTimes& times) { return times.batch == batch; });
  });
  for (const std::int64_t batch : batches) {
    if (batch < 1) throw InputError(fmt::format("a batch must be 1 or more, not {}", batch));
    check_fits_memory(model, backend, batch);
  }
  return Measurement(model, backend, options, std::move(profile)).run(batches);
}

TrainingLoopTime time_training_loop(const Model& model, kernels::Backend& backend,
                                    std::int64_t batch, const MeasureOptions& options) {
  Network network(model, backend, batch);
  Trainee trainee(model, backend, batch, options);
  const auto step = [&] {
    network.load(trainee.next());
    network.forward(0, network.tensors(), trainee.weights(), true, trainee.seed());
    network.backward(0, network.tensors(), trainee.weights(), trainee.gradient());
    trainee.update();
  };
  WarmUp rule;
  auto start = Clock::now();
  while (!rule.done(backend.measure(step)) && seconds_since(start) < options.warm_up_seconds) {
  }
  std::vector<Sample> samples;
  for (start = Clock::now(); static_cast<int>(samples.size()) < options.most_rounds;) {
    const int taken = static_cast<int>(samples.size());
    if (taken >= options.least_rounds &&
        (seconds_since(start) > options.seconds || stopped(options) ||
         standard_error(samples) < options.standard_error))
      break;
    samples.push_back(take_sample(backend, step));
  }
  const SampleSummary summary = summarize(samples);
  return {summary.timing, static_cast<int>(samples.size()), summary.dropped, summary.cpu_time};
}

}  // namespace paceline
