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
#include "calibrate/measure_operations.hpp"
#include "calibrate/statistics.hpp"
#include "calibrate/stopwatch.hpp"
#include "models/network/execution.hpp"
#include "models/network/network.hpp"

namespace paceline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kClosureTolerance = 0.05;
constexpr kernels::SgdOptions kSgd{.learning_rate = 1e-4, .momentum = .9};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

// A worker's own vectors, and the batches it trains on.
class Trainee {
 public:
  Trainee(const Model& model, kernels::Backend& backend, std::int64_t batch,
          const MeasureOptions& options)
      : backend_(backend), options_(options), batch_size_(batch) {
    const std::vector<float> start = initial_parameters(model, options.seed);
    for (auto* array : {&weights_, &gradient_, &velocity_})
      *array = kernels::Array<float>(backend, start.size());
    backend.copy_from_host(weights_.data(), start.data(), start.size() * sizeof(float));
    backend.fill(0, velocity_);
    if (!options.next_batch) batch_ = random_batch(model, batch, options.seed);
  }

  const Batch& next() {
    if (options_.next_batch) options_.next_batch(batch_size_, step_, batch_);
    ++step_;
    return batch_;
  }
  void update() { backend_.sgd_step(kSgd, gradient_, velocity_, weights_); }
  [[nodiscard]] std::uint64_t seed() const { return static_cast<std::uint64_t>(step_); }
  [[nodiscard]] std::size_t elements() const { return weights_.size(); }
  [[nodiscard]] kernels::Array<float>& weights() { return weights_; }
  [[nodiscard]] kernels::Array<float>& gradient() { return gradient_; }

 private:
  kernels::Backend& backend_;
  const MeasureOptions& options_;
  std::int64_t batch_size_, step_ = 0;
  kernels::Array<float> weights_, gradient_, velocity_;
  Batch batch_;
};

// Ten medians in a row, each within 1 % of the one before.
class WarmUp {
 public:
  bool done(double seconds) {
    seen_.push_back(seconds);
    const double now = median(seen_);
    steady_ = std::abs(now / last_ - 1) < 0.01 ? steady_ + 1 : 0;
    last_ = now;
    return steady_ >= 10;
  }

 private:
  std::vector<double> seen_;
  double last_ = 0;
  int steady_ = 0;
};

double standard_error(const std::vector<Sample>& samples) {
  const SampleSummary summary = summarize(samples);
  const double sigma = (*summary.timing.p75_s - *summary.timing.p25_s) / 1.349;
  return 1.253 * sigma / std::sqrt(double(summary.kept)) / summary.timing.median_s;
}

// The steps of one batch size, piece by piece or whole.
class Stepper {
 public:
  Stepper(const Model& model, kernels::Backend& backend, std::int64_t batch,
          const MeasureOptions& options)
      : model_(model),
        backend_(backend),
        execution_(plan_network(model, batch), backend),
        trainee_(model, backend, batch, options),
        forward_(steps()),
        backward_(steps()) {
    for (const NetworkLoss& loss : execution_.plan().losses)
      backend.write(std::array{static_cast<float>(loss.weight), 0.0f},
                    execution_.gradient(loss.gradient));
  }

  double whole(bool keep) {
    const Sample iteration = take_sample(backend_, [&] {
      load();
      execution_.forward(0, steps(), weights(), true, trainee_.seed());
      execution_.backward(0, steps(), weights(), trainee_.gradient().data());
    });
    const Sample update = take_sample(backend_, [&] { trainee_.update(); });
    if (keep) iteration_.push_back(iteration), update_.push_back(update);
    return iteration.seconds;
  }

  void by_layer() {
    load_.push_back(take_sample(backend_, [&] { load(); }));
    const std::uint64_t seed = trainee_.seed();
    for (std::size_t i = 0; i < steps(); ++i)
      forward_[i].push_back(
          take_sample(backend_, [&] { execution_.forward(i, i + 1, weights(), true, seed); }));
    for (std::size_t i = 0; i < steps(); ++i)
      backward_[steps() - 1 - i].push_back(take_sample(
          backend_, [&] { execution_.backward(i, i + 1, weights(), trainee_.gradient().data()); }));
    update_.push_back(take_sample(backend_, [&] { trainee_.update(); }));
  }

  [[nodiscard]] BatchTimes times(std::int64_t batch) const {
    BatchTimes times;
    times.batch = batch;
    times.iteration = summarize(iteration_).timing;
    times.input_pipeline_s = summarize(load_).timing.median_s;
    double sum = times.input_pipeline_s;
    const NetworkPlan& plan = execution_.plan();
    for (const std::size_t operation : timed_operations(model_)) {
      Timing forward{0, 0, 0}, backward{0, 0, 0};
      for (std::size_t i = 0; i < steps(); ++i) {
        if (plan.steps[i].operation != operation) continue;
        add(forward, summarize(forward_[i]).timing);
        if (plan.steps[i].backward) add(backward, summarize(backward_[i]).timing);
      }
      sum += forward.median_s + backward.median_s;
      times.layers.push_back({model_.operations()[operation].name, forward, backward, {}});
    }
    times.closure_ratio = sum / times.iteration->median_s;
    return times;
  }

  [[nodiscard]] Json record(bool warm) const {
    const SampleSummary iteration = summarize(iteration_);
    return {{"rounds", iteration_.size()},
            {"warm", warm},
            {"iterations_kept", iteration.kept},
            {"iterations_dropped_for_lost_core", iteration.dropped},
            {"iteration_clock", iteration.cpu_time ? "thread CPU time" : "wall"},
            {"update_seconds", update_seconds()}};
  }

  [[nodiscard]] const std::vector<Sample>& iterations() const { return iteration_; }
  [[nodiscard]] double update_seconds() const { return summarize(update_).timing.median_s; }
  [[nodiscard]] std::size_t elements() const { return trainee_.elements(); }

 private:
  static void add(Timing& sum, const Timing& term) {
    sum.median_s += term.median_s;
    *sum.p25_s += *term.p25_s;
    *sum.p75_s += *term.p75_s;
  }
  [[nodiscard]] std::size_t steps() const { return execution_.plan().steps.size(); }
  [[nodiscard]] const float* weights() { return trainee_.weights().data(); }
  void load() {
    const Batch& batch = trainee_.next();
    backend_.write(batch.inputs, execution_.value(execution_.plan().input));
    backend_.write(batch.labels, execution_.value(execution_.plan().labels));
  }

  const Model& model_;
  kernels::Backend& backend_;
  Execution<float, kernels::Backend> execution_;
  Trainee trainee_;
  std::vector<Sample> iteration_, update_, load_;
  std::vector<std::vector<Sample>> forward_, backward_;
};

bool stopped(const MeasureOptions& options) {
  return options.stop != nullptr && options.stop->load();
}

// Returns whether the warm-up rule was met in time.
bool warm_up(Stepper& stepper, const MeasureOptions& options) {
  WarmUp rule;
  const auto start = Clock::now();
  bool warm = false;
  do {
    warm = rule.done(stepper.whole(false));
  } while (!warm && seconds_since(start) < options.warm_up_seconds && !stopped(options));
  return warm;
}

// Returns whether enough rounds were taken.
bool sample(Stepper& stepper, const MeasureOptions& options,
            const std::function<void(double)>& progress) {
  const auto start = Clock::now();
  for (int round = 0; round < options.most_rounds; ++round) {
    const double share = seconds_since(start) / options.seconds;
    if (round >= options.least_rounds &&
        (share >= 1 || standard_error(stepper.iterations()) < options.precision ||
         stopped(options)))
      break;
    if (stopped(options)) return false;
    stepper.by_layer();
    stepper.whole(true);
    progress(std::min(1.0, std::max(share, round / double(options.most_rounds))));
  }
  return true;
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
          {"cores_used", 1},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"kernel", fmt::format("{} {}", system.sysname, system.release)}};
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
  profile.metadata = {
      {"date", utc_now()},
      {"method",
       "training steps, alternately timed layer by layer and whole; samples during which the core "
       "was taken away dropped; medians and quartiles"},
      {"warm_up",
       fmt::format("ten running medians within 1 %, at most {} s", options.warm_up_seconds)},
      {"data", options.next_batch ? "batches made anew in each step" : "standard normal, resident"},
      {"engine", backend.name()},
      {"device", options.device.empty() ? host_record() : options.device_record},
      {"batches", Json::object()}};
  return profile;
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
  for (std::size_t done = 0; done < batches.size() && !stopped(options); ++done) {
    const std::int64_t batch = batches[done];
    Stepper stepper(model, backend, batch, options);
    const bool warm = warm_up(stepper, options);
    const auto report = [&](double share) {
      if (!options.progress) return;
      const double left = static_cast<double>(batches.size() - done) - share;
      options.progress({batch, 1 - left / double(batches.size()),
                        left * (options.seconds + options.warm_up_seconds)});
    };
    if (!sample(stepper, options, report)) break;
    profile.batches.push_back(stepper.times(batch));
    std::sort(profile.batches.begin(), profile.batches.end(),
              [](const BatchTimes& a, const BatchTimes& b) { return a.batch < b.batch; });
    Json record = stepper.record(warm);
    record["closure_within_5_percent"] =
        std::abs(*stepper.times(batch).closure_ratio - 1) <= kClosureTolerance;
    profile.metadata["batches"][std::to_string(batch)] = std::move(record);
    profile.uncertainty = uncertainty_of(profile.batches);
    if (!profile.operations.launch_s) {
      MeasuredOperations measured =
          measure_operations(backend, stepper.elements(), stepper.update_seconds());
      profile.operations = measured.operations;
      profile.ceilings = measured.ceilings;
      profile.metadata["operations"] = std::move(measured.record);
    }
    if (options.measured) options.measured(profile);
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
