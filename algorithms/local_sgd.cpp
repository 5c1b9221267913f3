// Local-SGD (PR-SGD): k local steps, then the average of the models replaces every model.
// Yu, Yang, Zhu: "Parallel restarted SGD with faster convergence and less communication", 2019.

#include <fmt/format.h>

#include "algorithms/complexity.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program local_sgd(Worker& w, std::int64_t period) {
  for (const Round round : w.rounds(period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    Tensor mean = co_await w.all_reduce_mean(w.parameters());
    w.set_parameters(mean);
  }
}

std::vector<PaperBound> local_sgd_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const auto k = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("k steps and one average", "(k c + m) / k",
                     "Local-SGD: nothing overlaps [derived]", (k * c + m) / k)};
}

Schedule make_local_sgd(ObjectReader& options, const ScheduleContext&) {
  const std::int64_t period = options.integer_or("period", 5, 1);
  options.finish();
  Schedule s;
  s.name = "local-sgd";
  s.description = fmt::format("average of the models every {} steps", period);
  s.worker = [period](Worker& w) { return local_sgd(w, period); };
  s.bounds = [period](const BoundInputs& in) { return local_sgd_bounds(in, period); };
  s.wire_s = [period](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(period);
  };
  s.cycle = s.warm_up = period;
  s.drains = false;
  s.rounds_formula = local_rounds_formula(period);
  return s;
}

}  // namespace

extern const ScheduleEntry local_sgd_entry{"local-sgd",
                                           "Local-SGD: average the models every k steps",
                                           "PR-SGD: Yu, Yang, Zhu 2019; Stich 2019",
                                           "period: k, steps between averages (5)", make_local_sgd};

}  // namespace paceline
