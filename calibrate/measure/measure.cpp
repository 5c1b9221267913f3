#include "calibrate/measure/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "base/date.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/host.hpp"
#include "calibrate/measure/resume.hpp"
#include "calibrate/measure/timer.hpp"
#include "models/network/plan.hpp"

namespace paceline {
namespace {

constexpr double kClosureTolerance = 0.05;
constexpr double kMostUncertainty = 10;  // that a profile may have

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

Profile new_profile(const Model& model, const Timer& timer, const MeasureOptions& options) {
  const kernels::Backend& backend = timer.backend();
  Profile profile;
  profile.source = ProfileSource::measured;
  profile.device = options.device.empty() ? cpu_name() : options.device;
  profile.model = model.name();
  profile.precision = options.precision;
  profile.description = backend.description() + (options.device.empty() ? ", one core" : "");
  profile.software = options.software;
  profile.software["backend"] = backend.description();
  profile.software["tool"] = options.tool;
  *profile.metadata = {
      {"date", utc_now()},
      {"method", timer.steps_method()},
      {"warm_up",
       fmt::format("ten running medians within 1 %, at most {} s", options.warm_up_seconds)},
      {"data", options.next_batch ? "batches made anew in each step" : "standard normal, resident"},
      {"engine", backend.name()},
      {"device", options.device.empty() ? host_record() : options.device_record},
      {"batches", Json::object()}};
  timer.describe(*profile.metadata, options.precision);
  return profile;
}

void take_operations(Profile& profile, MeasuredOperations measured) {
  profile.operations = measured.operations;
  profile.ceilings = measured.ceilings;
  (*profile.metadata)["operations"] = std::move(measured.record);
}

// One profile under way: its batches, then where that is done each layer alone and the operations.
class Measurement {
 public:
  Measurement(const Model& model, Timer& timer, const MeasureOptions& options, Profile profile)
      : model_(model),
        timer_(timer),
        apart_(timer.apart()),
        options_(options),
        profile_(std::move(profile)) {}

  Profile run(const std::vector<std::int64_t>& batches) {
    const bool operations = apart_ != nullptr && operations_pending(profile_);
    std::vector<std::int64_t> alone;
    if (times_layers_alone()) {
      alone = unfinished_operators(profile_);
      alone.insert(alone.end(), batches.begin(), batches.end());
    }
    parts_ = static_cast<double>(batches.size() + alone.size() + (operations ? 1 : 0));
    for (const std::int64_t batch : batches)
      if (!stopped(options_)) measure(batch);
    for (const std::int64_t batch : alone)
      if (!stopped(options_) && has_batch(profile_, batch)) measure_alone(batch);
    if (operations && !profile_.batches.empty() && !stopped(options_)) measure_operations_apart();
    return std::move(profile_);
  }

 private:
  [[nodiscard]] bool times_layers_alone() const { return apart_ != nullptr && options_.operators; }
  void report(double share) {
    const double fraction = (done_ + share) / parts_;
    if (options_.progress && fraction > 0)
      options_.progress({batch_, fraction, seconds_since(start_) * (1 - fraction) / fraction});
  }
  void save() {
    if (options_.measured) options_.measured(profile_);
  }
  void measure(std::int64_t batch);
  void measure_alone(std::int64_t batch);
  void measure_operations_apart();

  const Model& model_;
  Timer& timer_;
  ApartTimer* const apart_;  // null: nothing is timed apart from training steps
  const MeasureOptions& options_;
  Profile profile_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double parts_ = 1, done_ = 0;
  std::int64_t batch_ = 0;
};

void Measurement::measure(std::int64_t batch) {
  batch_ = batch;
  std::optional<MeasuredBatch> measured =
      timer_.steps(model_, batch, options_, [&](double share) { report(share); });
  if (!measured) return;
  ++done_;
  Json& record = measured->record;
  record["date"] = utc_now();
  record["tool"] = options_.tool;
  record["closure_within_5_percent"] =
      std::abs(*measured->times.closure_ratio - 1) <= kClosureTolerance;
  if (times_layers_alone()) {
    record["operators"] = Json::array();
    record["operators_complete"] = false;
  }
  (*profile_.metadata)["batches"][std::to_string(batch)] = std::move(record);
  profile_.batches.push_back(std::move(measured->times));
  std::sort(profile_.batches.begin(), profile_.batches.end(),
            [](const BatchTimes& a, const BatchTimes& b) { return a.batch < b.batch; });
  profile_.uncertainty = uncertainty_of(profile_.batches);
  if (!profile_.operations.launch_s)
    if (auto beside = timer_.operations_beside_steps(static_cast<std::size_t>(model_.parameters()),
                                                     measured->update_s))
      take_operations(profile_, std::move(*beside));
  save();
}

void Measurement::measure_alone(std::int64_t batch) {
  batch_ = batch;
  Json& record = (*profile_.metadata)["batches"][std::to_string(batch)];
  const bool all = apart_->layers(
      model_, batch, options_, record["operators"], [&](double share) { report(share); },
      [&] { save(); });
  if (!all) return;
  ++done_;
  record["operators_complete"] = true;
  save();
}

void Measurement::measure_operations_apart() {
  (*profile_.metadata)["operations_complete"] = false;
  Json record = profile_.metadata->value("operations", Json::object());
  Json& saved = (*profile_.metadata)["operations"];
  std::optional<MeasuredOperations> measured = apart_->operations(
      options_, record, [&](double share) { report(share); },
      [&] {
        saved = record;
        save();
      });
  if (!measured) return;
  ++done_;
  take_operations(profile_, std::move(*measured));
  (*profile_.metadata)["operations_complete"] = true;
  save();
}

void check_fits(const Model& model, const Timer& timer, std::int64_t batch) {
  const NetworkPlan plan = plan_network(model, 1);
  double sample = 0;
  for (const auto* arrays : {&plan.values, &plan.gradients})
    for (const kernels::Dims& dims : *arrays)
      sample += sizeof(float) * static_cast<double>(kernels::elements(dims));
  // Weights, gradient and velocity.
  const double needed = sample * static_cast<double>(batch) +
                        3 * sizeof(float) * static_cast<double>(model.parameters());
  const double there = timer.memory_bytes();
  if (there > 0 && needed > there)
    throw InputError(fmt::format("batch {} of {} needs at least {}, and {} has {}", batch,
                                 model.name(), format_bytes(needed), timer.device_name(),
                                 format_bytes(there)));
}

void take_precision(const std::string& precision, Timer& timer) {
  if (precision != "fp32" && precision != "tf32")
    throw InputError(fmt::format(
        "--precision: '{}' is not measured here; there are fp32 and, on a GPU, tf32", precision));
  timer.use_precision(precision);
}

}  // namespace

void use_precision(const std::string& precision, kernels::Backend& backend) {
  take_precision(precision, *make_timer(backend));
}

void check_fits_memory(const Model& model, kernels::Backend& backend, std::int64_t batch) {
  check_fits(model, *make_timer(backend), batch);
}

Profile measure_profile(const Model& model, kernels::Backend& backend,
                        std::vector<std::int64_t> batches, const MeasureOptions& options,
                        const std::optional<Profile>& known) {
  const std::unique_ptr<Timer> timer = make_timer(backend);
  take_precision(options.precision, *timer);
  Profile profile = new_profile(model, *timer, options);
  if (known) {
    check_known(model, *known, profile);
    profile = *known;
  }
  if (options.operations_from) {
    if (timer->apart() == nullptr)
      throw InputError("--operations-from: a CPU's depend on the model");
    if (!profile.operations.launch_s) take_operations_from(profile, *options.operations_from);
  }
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  std::erase_if(batches, [&](std::int64_t batch) { return has_batch(profile, batch); });
  for (const std::int64_t batch : batches) {
    if (batch < 1) throw InputError(fmt::format("a batch must be 1 or more, not {}", batch));
    check_fits(model, *timer, batch);
  }
  return Measurement(model, *timer, options, std::move(profile)).run(batches);
}

}  // namespace paceline
