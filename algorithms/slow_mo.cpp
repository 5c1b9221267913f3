// SlowMo: Local-SGD with a slow outer momentum. After each average u <- b u + (x_old - mean) / lr, x = x_old - a lr u. Wang
// et al., ICLR 2020, arXiv 1910.00643 [code facebookresearch/fairscale]. With a = 1, b = 0 it is Local-SGD.

#include <fmt/format.h>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct SlowMoOptions {
  std::int64_t period = 48;  // tau
  double momentum = 0.5;     // b
  double rate = 1;           // a
};

Program slow_mo(Worker& w, SlowMoOptions o) {
  Tensor old = w.parameters().copy();
  Tensor u = w.zeros(w.model().elements);
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const double rate = w.learning_rate(round.end_step() - 1);
    const Tensor mean = co_await w.all_reduce_mean(w.parameters());
    u = w.combine(o.momentum, u, rate > 0 ? 1 / rate : 1, old - mean);
    old = w.combine(1, old, rate > 0 ? -o.rate * rate : -1, u);
    w.set_parameters(old);
    co_await w.finished(old);
  }
}

std::vector<PaperBound> slow_mo_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const auto k = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("tau steps and one average", "c + m / tau", "SlowMo, as Local-SGD [derived]",
                     c + m / k)};
}

Schedule make_slow_mo(ObjectReader& options, const ScheduleContext&) {
  SlowMoOptions o;
  o.period = options.integer_or("period", 48, 1);
  o.momentum = options.number("slow_momentum", 0, 1, 0.5);
  o.rate = options.number("slow_rate", 0, 10, 1);
  options.finish();
  Schedule s;
  s.name = "slowmo";
  s.description = fmt::format("average every {} steps under a slow momentum of {}, rate {}",
                              o.period, o.momentum, o.rate);
  s.worker = [o](Worker& w) { return slow_mo(w, o); };
  s.bounds = [o](const BoundInputs& in) { return slow_mo_bounds(in, o.period); };
  s.wire_s = [o](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(o.period);
  };
  s.cycle = s.warm_up = o.period;
  s.drains = false;
  s.rounds_formula = fmt::format("T/{} [paper]", o.period);
  s.extra_copies = 2;  // x_old and u
  return s;
}

}  // namespace

extern const ScheduleEntry slow_mo_entry{
    "slowmo", "SlowMo: Local-SGD with a slow outer momentum",
    "Wang et al., ICLR 2020, arXiv 1910.00643 [code facebookresearch/fairscale]",
    "period: tau (48); slow_momentum: b (0.5); slow_rate: a (1)", make_slow_mo};

}  // namespace paceline
