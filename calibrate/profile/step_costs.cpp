#include "calibrate/profile/step_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>

#include "base/defaults.hpp"
#include "base/error.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/profile/costs_by_tensor.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

// What interpolation between two batches adds: libraries change algorithms between them.
const Default kInterpolationSigma{
    "profile.interpolation_sigma", 0.05, "",
    "relative sigma that interpolation between two batches of a profile adds"};
// Layers that do not sum to the iteration were timed badly or leave something out.
const Default kClosureTolerance{
    "profile.closure_tolerance", 0.05, "",
    "how far the layers of a profile may miss its iteration before a warning says so"};

std::string letters_and_digits(std::string_view name) {
  std::string result;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

void check_model(const Model& model, const Profile& profile) {
  if (letters_and_digits(profile.model) != letters_and_digits(model.name()))
    throw InputError(fmt::format("the profile is of model '{}' on {}, not of '{}'", profile.model,
                                 profile.device, model.name()));
}

void check_layers(const Model& model, const BatchTimes& times) {
  const std::vector<std::size_t> timed = timed_operations(model);
  for (std::size_t i = 0; i < std::min(timed.size(), times.layers.size()); ++i)
    if (const std::string& expected = model.operations()[timed[i]].name;
        times.layers[i].name != expected)
      throw InputError(
          fmt::format("the profile does not fit model '{}': its layer {} is '{}', expected '{}'",
                      model.name(), i, times.layers[i].name, expected));
  if (timed.size() != times.layers.size())
    throw InputError(
        fmt::format("the profile does not fit model '{}': it has {} layers, expected {}",
                    model.name(), times.layers.size(), timed.size()));
}

CostsByTensor costs_of_layers(const Model& model, const std::vector<LayerTimes>& layers) {
  std::vector<double> forward(model.operations().size(), 0), backward(forward);
  const std::vector<std::size_t> timed = timed_operations(model);
  for (std::size_t i = 0; i < timed.size(); ++i) {
    forward[timed[i]] = layers[i].forward.median_s;
    backward[timed[i]] = layers[i].backward_data.median_s + layers[i].backward_weight.median_s;
  }
  return costs_by_tensor(model, forward, backward);
}

double sum(const std::vector<TensorCost>& tensors, double TensorCost::*field) {
  double total = 0;
  for (const TensorCost& tensor : tensors) total += tensor.*field;
  return total;
}

void scale(std::vector<TensorCost>& tensors, double TensorCost::*field, double factor) {
  for (TensorCost& tensor : tensors) tensor.*field *= factor;
}

const GpuSpec& analytic_card(const Profile& profile) {
  const GpuSpec* card = card_of(profile);
  return card != nullptr ? *card : find_gpu(profile.device);  // throws
}

CostsByTensor spread_in_proportion(const Model& model, const GpuSpec& gpu,
                                   const WholeNetTimes& whole, std::int64_t batch,
                                   Precision precision) {
  CostsByTensor costs = costs_of_layers(model, analytic_layers(model, gpu, batch, precision));
  const double forward = sum(costs.tensors, &TensorCost::forward_s);
  const double backward = sum(costs.tensors, &TensorCost::backward_s);
  if (forward == 0 || backward == 0)
    throw InputError(
        fmt::format("model '{}' has no analytic times: use \"spread\": \"uniform\"", model.name()));
  const double both = whole.step ? whole.step->median_s / (forward + backward) : 0;
  scale(costs.tensors, &TensorCost::forward_s,
        whole.step ? both : whole.forward->median_s / forward);
  scale(costs.tensors, &TensorCost::backward_s,
        whole.step ? both : whole.backward->median_s / backward);
  return costs;
}

CostsByTensor spread_evenly(const Model& model, const WholeNetTimes& whole) {
  const std::vector<double> none(model.operations().size(), 0);
  CostsByTensor costs = costs_by_tensor(model, none, none);
  const auto count = static_cast<double>(costs.tensors.size());
  for (TensorCost& tensor : costs.tensors) {
    tensor.forward_s = (whole.step ? whole.step->median_s / 3 : whole.forward->median_s) / count;
    if (whole.backward_per_tensor)
      tensor.backward_s = whole.backward_per_tensor->median_s;
    else
      tensor.backward_s =
          (whole.step ? whole.step->median_s * 2 / 3 : whole.backward->median_s) / count;
  }
  return costs;
}

CostsByTensor costs_at(const Model& model, const Profile& profile, const BatchTimes& times,
                       std::int64_t batch) {
  if (const auto& whole = times.whole_net)
    return whole->spread == Spread::uniform
               ? spread_evenly(model, *whole)
               : spread_in_proportion(model, analytic_card(profile), *whole,
                                      times.batch.value_or(batch),
                                      precision_of_profile(profile.precision));
  check_layers(model, times);
  return costs_of_layers(model, times.layers);
}

struct QuartileRatios {
  std::optional<double> p25, p75;
};

// Of the whole iteration if it was timed, else of the sum of the layers as if they were slow
// together.
QuartileRatios quartile_ratios(const BatchTimes& times) {
  std::vector<Timing> timings;
  if (times.iteration) {
    timings.push_back(*times.iteration);
  } else if (times.whole_net) {
    const WholeNetTimes& whole = *times.whole_net;
    for (const auto* timing :
         {&whole.step, &whole.forward, &whole.backward, &whole.backward_per_tensor})
      if (*timing) timings.push_back(**timing);
  } else {
    for (const LayerTimes& layer : times.layers)
      for (const Timing& timing : {layer.forward, layer.backward_data, layer.backward_weight})
        timings.push_back(timing);
  }
  double median = 0, p25 = 0, p75 = 0;
  for (const Timing& timing : timings) {
    if (timing.median_s > 0 && !timing.p25_s) return {};
    median += timing.median_s;
    p25 += timing.p25_s.value_or(0);
    p75 += timing.p75_s.value_or(0);
  }
  if (median == 0) return {};
  return {p25 / median, p75 / median};
}

std::string batch_list(const Profile& profile) {
  std::string text;
  for (const BatchTimes& times : profile.batches)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", *times.batch);
  return text;
}

struct Bracket {
  const BatchTimes* low;
  const BatchTimes* high;
  double weight = 0;  // of `high`
};

Bracket bracket_of(const Model& model, const Profile& profile, std::int64_t batch) {
  const auto& batches = profile.batches;
  if (batches.empty())
    throw InputError(fmt::format("the profile of '{}' has no times", profile.model));
  if (!batches.front().batch) return {&batches.front(), &batches.front()};
  const auto high = std::find_if(batches.begin(), batches.end(),
                                 [&](const BatchTimes& times) { return *times.batch >= batch; });
  if (high != batches.end() && *high->batch == batch) return {&*high, &*high};
  const auto refuse = [&](std::string_view why) {
    throw InputError(fmt::format("the profile of '{}' on {} cannot serve batch {}: {}; it has {}",
                                 profile.model, profile.device, batch, why, batch_list(profile)));
  };
  if (high == batches.begin() || high == batches.end()) refuse("that is outside what was recorded");
  for (const Operation& operation : model.operations())
    if (operation.is<LstmOp>())
      refuse("recurrent layers are not interpolated, their times are not monotone in the batch");
  const auto low = std::prev(high);
  const auto width = static_cast<double>(*high->batch - *low->batch);
  return {&*low, &*high, static_cast<double>(batch - *low->batch) / width};
}

std::string describe(const Profile& profile, const StepCosts& costs, const Bracket& bracket) {
  std::string text =
      fmt::format("{}: {}, {}", to_string(profile.source), profile.device, profile.precision);
  if (!profile.description.empty()) text += ", " + profile.description;
  if (bracket.low != bracket.high)
    text += fmt::format(", interpolated between batch {} and {}", *bracket.low->batch,
                        *bracket.high->batch);
  if (!bracket.low->batch) text += ", batch not stated by the source";
  if (const auto& whole = bracket.low->whole_net)
    text += whole->spread == Spread::uniform ? ", spread evenly over the tensors"
                                             : ", spread in proportion to analytic times";
  if (const GpuSpec* card = card_of(profile); bracket.low->whole_net &&
                                              bracket.low->whole_net->spread == Spread::analytic &&
                                              card != nullptr && !card->knows("fp32"))
    text += fmt::format(" of a {}", kStandInGpu);
  if (const auto closure = bracket.low->closure_ratio;
      closure && std::abs(*closure - 1) > kClosureTolerance)
    text += fmt::format(", the layers sum to {:.2f} of the iteration", *closure);
  return text + fmt::format(", sigma {:.0f} %", 100 * costs.relative_uncertainty);
}

}  // namespace

double StepCosts::forward_s() const {
  return sum(tensors, &TensorCost::forward_s);
}
double StepCosts::backward_s() const {
  return sum(tensors, &TensorCost::backward_s);
}
double StepCosts::step_s() const {
  return forward_s() + backward_s() + host_overhead_s + input_pipeline_s;
}

std::size_t host_launches(const Model& model) {
  return timed_operations(model).size() + backward_order(model).size();
}

StepCosts step_costs(const Model& model, const Profile& profile, std::int64_t batch) {
  if (batch < 1) throw InputError(fmt::format("a batch must be 1 or more, not {}", batch));
  check_model(model, profile);
  const Bracket bracket = bracket_of(model, profile, batch);
  CostsByTensor low = costs_at(model, profile, *bracket.low, batch);

  StepCosts costs;
  costs.tensors = std::move(low.tensors);
  costs.backward_order = std::move(low.backward_order);
  costs.source = profile.source;
  costs.relative_uncertainty = profile.uncertainty;
  costs.input_pipeline_s = bracket.low->input_pipeline_s;
  if (bracket.low != bracket.high) {
    const CostsByTensor high = costs_at(model, profile, *bracket.high, batch);
    for (std::size_t i = 0; i < costs.tensors.size(); ++i) {
      TensorCost& tensor = costs.tensors[i];
      tensor.forward_s = std::lerp(tensor.forward_s, high.tensors[i].forward_s, bracket.weight);
      tensor.backward_s = std::lerp(tensor.backward_s, high.tensors[i].backward_s, bracket.weight);
    }
    costs.input_pipeline_s =
        std::lerp(costs.input_pipeline_s, bracket.high->input_pipeline_s, bracket.weight);
    costs.source = ProfileSource::interpolated;
    costs.relative_uncertainty = std::hypot(profile.uncertainty, kInterpolationSigma);
  }
  const QuartileRatios ratios =
      quartile_ratios(bracket.weight > 0.5 ? *bracket.high : *bracket.low);
  costs.p25_over_median = ratios.p25;
  costs.p75_over_median = ratios.p75;
  const auto overhead = [&](const BatchTimes& times) {
    return times.host_overhead_per_op_s.value_or(profile.host_overhead_per_op_s) *
           static_cast<double>(host_launches(model));
  };
  costs.host_overhead_s =
      std::lerp(overhead(*bracket.low), overhead(*bracket.high), bracket.weight);
  costs.description = describe(profile, costs, bracket);
  return costs;
}

}  // namespace paceline
