#include "experiments/one_gpu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

// Repeats of one training on one machine: within 0.2 % in nine of ten of the 365 cases with three
// runs or more of Lambda's benchmarks (experiments/published); figures in print have three digits.
const Default kRepeats{"uncertainty.measured_step", 0.01, "",
                       "relative sigma of a step that is given by --one-gpu or --step"};
}  // namespace

std::optional<OneGpuTime> OneGpuTime::from_text(std::string_view text) {
  const auto digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  if (text.empty() || (!digit(text.front()) && text.front() != '.' && text.front() != '-'))
    return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const bool is_rate = unit == "/s";
  if (!is_rate) {
    static constexpr std::string_view kDurations[]{"ns", "us", "ms", "s", "min", "h"};
    if (std::find(std::begin(kDurations), std::end(kDurations), unit) == std::end(kDurations))
      return std::nullopt;
    if (value > 0) value = parse_duration(text);
  }
  if (!(value > 0))
    throw InputError(fmt::format(
        "'{}' is no time of one GPU: expected samples per second, \"253/s\", or a step, \"163ms\"",
        text));
  return OneGpuTime(value, is_rate);
}

Profile one_gpu_profile(const Model& model, const GpuSpec& gpu, double step_s, std::int64_t batch,
                        std::int64_t accumulation, Optimizer optimizer, Precision precision) {
  Profile profile;
  profile.source = ProfileSource::published;
  profile.uncertainty = kRepeats;
  profile.device = gpu.name;
  profile.card = gpu;
  profile.precision = to_string(precision);
  profile.model = model.name();
  const double update = operation_costs(profile).optimizer_update(
      static_cast<double>(model.parameters()), optimizer_slots(optimizer));
  const double pass = (step_s - update) / static_cast<double>(accumulation);
  if (!(pass > 0))
    throw InputError(fmt::format(
        "a step of {} on one GPU cannot be: the update of {} parameters alone takes {} on a {}",
        format_duration(step_s), format_count(static_cast<double>(model.parameters())),
        format_duration(update), profile.device));
  WholeNetTimes whole;
  whole.step = Timing{pass, {}, {}};
  BatchTimes times;
  times.batch = batch;
  times.whole_net = whole;
  profile.batches.push_back(times);
  profile.description = fmt::format(
      "given: a whole step of {} on one {}, update included; shares of the layers analytic{}, "
      "sigma {:.0f} %",
      format_duration(step_s), gpu.name,
      gpu.knows("fp32") ? "" : fmt::format(" as of a {}, that GPU being unknown", kStandInGpu),
      100 * kRepeats);
  return profile;
}

}  // namespace paceline
