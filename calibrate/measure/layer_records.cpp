#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/measure/batch.hpp"

namespace paceline {
namespace {

void add(Timing& sum, const Timing& term) {
  sum.median_s += term.median_s;
  *sum.p25_s += *term.p25_s;
  *sum.p75_s += *term.p75_s;
}

}  // namespace

std::vector<LayerTimes> layers_of(const Model& model, const NetworkPlan& plan,
                                  const std::vector<Timing>& forward,
                                  const std::vector<Timing>& backward) {
  std::vector<LayerTimes> layers;
  for (const std::size_t operation : timed_operations(model)) {
    Timing ahead{0, 0, 0}, back{0, 0, 0};
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      if (plan.steps[i].operation != operation) continue;
      add(ahead, forward[i]);
      add(back, backward[i]);
    }
    layers.push_back({model.operations()[operation].name, ahead, back, {}});
  }
  return layers;
}

double sum_of(const std::vector<LayerTimes>& layers) {
  double sum = 0;
  for (const LayerTimes& layer : layers)
    sum += layer.forward.median_s + layer.backward_data.median_s;
  return sum;
}

Timing timing_of(const std::vector<double>& seconds) {
  const Quartiles q = quartiles(seconds);
  return {q.median, q.p25, q.p75};
}

Json summary_of(const std::vector<double>& seconds) {
  return {{"n", seconds.size()},           {"median", median(seconds)},
          {"p25", quantile(seconds, .25)}, {"p75", quantile(seconds, .75)},
          {"p05", quantile(seconds, .05)}, {"p95", quantile(seconds, .95)},
          {"least", quantile(seconds, 0)}};
}

Json layer_records(const Model& model, const NetworkPlan& plan, std::int64_t batch,
                   const StepSamples& samples) {
  const auto size = static_cast<double>(batch);
  Json rows = Json::array();
  for (const std::size_t index : timed_operations(model)) {
    const Operation& operation = model.operations()[index];
    Json row{{"name", operation.name},
             {"kind", to_string(operation.kind())},
             {"output", operation.output_shape},
             {"parameters", operation.parameter_elements()},
             {"forward_flops", size * operation.forward_flops},
             {"forward_least_bytes", size * operation.forward_bytes + operation.parameter_bytes}};
    if (operation.needs_gradient) {
      row["backward_flops"] =
          size * (operation.backward_data_flops + operation.backward_weight_flops);
      row["backward_least_bytes"] =
          size * operation.backward_bytes + operation.parameter_bytes + operation.gradient_bytes;
    }
    // Steps of one operation (rare) one below the other, as they were timed.
    const auto add = [&](const char* pass, const std::vector<double>& seconds) {
      if (!seconds.empty()) row[pass].push_back(summary_of(seconds));
    };
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      if (plan.steps[i].operation != index) continue;
      add("forward", samples.forward[i]);
      add("backward", samples.backward[i]);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace paceline
