// Eager DiLoCo: the outer step is taken at once with this worker's own fresh share of the mean and the others' of the round
// before, so that the all-reduce has a whole round of H steps to hide behind. Kale, Douillard, Donchev, arXiv 2502.12996.

#include <fmt/format.h>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct EagerOptions {
  std::int64_t period = 30;  // H
  double rate = 0.7, momentum = 0.9;
};

// D = anchor - x_i; Delta = D / M + (mean D' - D' / M), D' of the round before (nothing in the first); then DiLoCo's
// Nesterov step, on an anchor of each worker's own.
Program eager_diloco(Worker& w, EagerOptions o) {
  Tensor anchor = w.parameters().copy();
  Tensor velocity = w.zeros(w.model().elements), before = w.zeros(w.model().elements);
  Pending<Tensor> under_way;
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const Tensor moved = anchor - w.parameters();
    Tensor others = before;  // zero in the first round
    if (round.index > 0) {
      const Tensor mean = co_await under_way;
      others = w.combine(1, mean, -w.weight(), before);
    }
    under_way = w.all_reduce_mean(moved);
    const Tensor delta = w.combine(w.weight(), moved, 1, others);
    before = moved;
    velocity = w.combine(o.momentum, velocity, 1, delta);
    anchor = w.combine(1, anchor, -o.rate, w.combine(1, delta, o.momentum, velocity));
    w.set_parameters(anchor);
    co_await w.finished(anchor);
  }
}

std::vector<PaperBound> eager_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const double a = 1 - in.compute_while_sending;
  const auto h = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("average hidden behind H steps", "max(H c + a m, m) / H",
                     "Eager DiLoCo [derived]", std::max(h * c + a * m, m) / h)};
}

Schedule make_eager(ObjectReader& options, const ScheduleContext&) {
  EagerOptions o;
  o.period = options.integer_or("period", 30, 1);
  o.rate = options.number("outer_rate", 0, 10, 0.7);
  o.momentum = options.number("outer_momentum", 0, 1, 0.9);
  options.finish();
  Schedule s;
  s.name = "eager-diloco";
  s.description = fmt::format(
      "outer step every {} steps with the others' progress of the round before", o.period);
  s.worker = [o](Worker& w) { return eager_diloco(w, o); };
  s.bounds = [o](const BoundInputs& in) { return eager_bounds(in, o.period); };
  s.wire_s = [o](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(o.period);
  };
  s.cycle = s.warm_up = o.period;
  s.rounds_formula = fmt::format("T/{} [paper]", o.period);
  s.extra_copies = 4;  // anchor, velocity, its last progress and what is under way
  return s;
}

}  // namespace

extern const ScheduleEntry eager_diloco_entry{
    "eager-diloco", "Eager DiLoCo: the outer average hidden behind the next round",
    "Kale, Douillard, Donchev, arXiv 2502.12996",
    "period: H (30); outer_rate (0.7); outer_momentum (0.9)", make_eager};

}  // namespace paceline
