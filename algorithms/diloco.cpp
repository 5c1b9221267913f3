// DiLoCo: H inner steps of the worker's own optimiser, then one outer Nesterov step on the mean of
// what the workers moved. Douillard et al., arXiv 2311.08105.

#include <fmt/format.h>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct DilocoOptions {
  std::int64_t period = 500;  // H
  double rate = 0.7;          // outer learning rate
  double momentum = 0.9;      // outer Nesterov momentum
};

// Delta = mean_i (anchor - x_i);  u = mu u + Delta;  anchor -= rate (Delta + mu u);  x_i = anchor
Program diloco(Worker& w, DilocoOptions o) {
  Tensor anchor = w.parameters().copy();
  Tensor velocity = w.zeros(w.model().elements);
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const Tensor moved = anchor - w.parameters();
    Tensor delta = co_await w.all_reduce_mean(moved);
    velocity = w.combine(o.momentum, velocity, 1, delta);
    anchor = w.combine(1, anchor, -o.rate, w.combine(1, delta, o.momentum, velocity));
    w.set_parameters(anchor);
    co_await w.finished(anchor);
  }
}

std::vector<PaperBound> diloco_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const auto h = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("H steps and one average", "(H c + m) / H",
                     "DiLoCo: nothing overlaps [derived]", (h * c + m) / h)};
}

Schedule make_diloco(ObjectReader& options, const ScheduleContext&) {
  DilocoOptions o;
  o.period = options.integer_or("period", 500, 1);
  o.rate = options.number("outer_rate", 0, 10, 0.7);
  o.momentum = options.number("outer_momentum", 0, 1, 0.9);
  options.finish();
  Schedule s;
  s.name = "diloco";
  s.description = fmt::format("outer Nesterov step (rate {}, momentum {}) every {} steps", o.rate,
                              o.momentum, o.period);
  s.worker = [o](Worker& w) { return diloco(w, o); };
  s.bounds = [o](const BoundInputs& in) { return diloco_bounds(in, o.period); };
  s.wire_s = [o](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(o.period);
  };
  s.cycle = s.warm_up = o.period;
  s.drains = false;
  s.rounds_formula = fmt::format("T/{} [paper]", o.period);
  s.extra_copies = 2;  // anchor and outer velocity
  return s;
}

}  // namespace

extern const ScheduleEntry diloco_entry{"diloco", "DiLoCo: H inner steps, one outer Nesterov step",
                                        "Douillard et al., arXiv 2311.08105",
                                        "period: H (500); outer_rate (0.7); outer_momentum (0.9)",
                                        make_diloco};

}  // namespace paceline
