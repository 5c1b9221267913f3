#include "calibrate/measure.hpp"

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
#include "calibrate/analytic.hpp"
#include "calibrate/measure_batch.hpp"
#include "calibrate/measure_gpu.hpp"
#include "calibrate/measure_operations.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kClosureTolerance = 0.05;
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

void check_known(const Profile& known, const Profile& fresh) {
  const auto same = [](std::string_view what, const std::string& had, const std::string& is) {
    if (had != is)
      throw InputError(
          fmt::format("the profile to go on with is of {} '{}', not '{}': give another output file",
                      what, had, is));
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
}

// The spread of an iteration, and what the layers miss of it.
double uncertainty_of(const std::vector<BatchTimes>& batches) {
  double worst = 0;
  for (const BatchTimes& times : batches) {
    const double sigma = (*times.iteration->p75_s - *times.iteration->p25_s) / 1.349;
    worst = std::max(
        worst, std::hypot(sigma / times.iteration->median_s, times.closure_ratio.value_or(1) - 1));
  }
  return worst;
}

Profile new_profile(const Model& model, const kernels::Backend& backend,
                    const MeasureOptions& options) {
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.device = options.device.empty() ? cpu_name() : options.device;
  profile.model = model.name();
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
    profile.metadata["arithmetic"] = "fp32 by fused multiply-adds, no TF32; NCHW";
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
                                  [](const Operation& op) { return op.kind == OpKind::input; });
  if (const auto entries = std::get<InputAttributes>(input->attributes).entries; entries > 0) {
    uniform(result.inputs, entries);
  } else {
    std::normal_distribution<float> normal;
    for (float& value : result.inputs) value = normal(random);
  }
  uniform(result.labels, std::max<std::int64_t>(model.classes(), 1));
  return result;
}

Profile measure_profile(const Model& model, kernels::Backend& backend,
                        std::vector<std::int64_t> batches, const MeasureOptions& options,
                        const std::optional<Profile>& known) {
  Profile profile = new_profile(model, backend, options);
  if (known) {
    check_known(*known, profile);
    profile = *known;
  }
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  std::erase_if(batches, [&](std::int64_t batch) {
    return std::any_of(profile.batches.begin(), profile.batches.end(),
                       [&](const BatchTimes& times) { return times.batch == batch; });
  });
  auto* const gpu = dynamic_cast<kernels::CudaBackend*>(&backend);
  // The operations count as one batch more.
  const bool operations = gpu != nullptr && !profile.operations.launch_s;
  const double parts = static_cast<double>(batches.size()) + (operations ? 1 : 0);
  const auto start = Clock::now();
  double done = 0;
  std::int64_t batch = batches.empty() ? 0 : batches.front();
  const auto report = [&](double share) {
    const double fraction = (done + share) / parts;
    if (options.progress && fraction > 0)
      options.progress({batch, fraction, seconds_since(start) * (1 - fraction) / fraction});
  };
  for (std::size_t i = 0; i < batches.size() && !stopped(options); ++i, ++done) {
    batch = batches[i];
    std::optional<MeasuredBatch> measured =
        gpu != nullptr ? measure_batch_on_gpu(model, *gpu, batch, options, report)
                       : measure_batch(model, backend, batch, options, report);
    if (!measured) break;
    measured->record["closure_within_5_percent"] =
        std::abs(*measured->times.closure_ratio - 1) <= kClosureTolerance;
    profile.metadata["batches"][std::to_string(batch)] = std::move(measured->record);
    profile.batches.push_back(std::move(measured->times));
    std::sort(profile.batches.begin(), profile.batches.end(),
              [](const BatchTimes& a, const BatchTimes& b) { return a.batch < b.batch; });
    profile.uncertainty = uncertainty_of(profile.batches);
    if (gpu == nullptr && !profile.operations.launch_s)
      take_operations(profile,
                      measure_operations(backend, static_cast<std::size_t>(model.parameters()),
                                         measured->update_s));
    if (options.measured) options.measured(profile);
  }
  if (operations && !profile.batches.empty() && !stopped(options)) {
    if (std::optional<MeasuredOperations> measured = measure_operations_on_gpu(
            *gpu, options.most_elements, [&] { return stopped(options); }, report)) {
      take_operations(profile, std::move(*measured));
      if (options.measured) options.measured(profile);
    }
  }
  return profile;
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
         standard_error(samples) < options.precision))
      break;
    samples.push_back(take_sample(backend, step));
  }
  const SampleSummary summary = summarize(samples);
  return {summary.timing, static_cast<int>(samples.size()), summary.dropped, summary.cpu_time};
}

}  // namespace paceline
