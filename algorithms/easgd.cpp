// EASGD, synchronous: every tau steps a worker's model and a centre pull at each other, x_i -= alpha (x_i - z) and
// z += beta (mean x - z), both with the old values; with beta = N alpha their sum stays. Zhang, Choromanska, LeCun, NIPS 2015,
// arXiv 1412.6651, eq. 5 and 6. The centre is kept by every worker, so an all-reduce is all it takes.

#include <fmt/format.h>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct EasgdOptions {
  std::int64_t period = 10;  // tau
  double beta = 0.9;
};

Program easgd(Worker& w, EasgdOptions o) {
  Tensor center = w.parameters().copy();
  const double alpha = o.beta / static_cast<double>(w.world_size());
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const Tensor x = w.parameters();
    const Tensor mean = co_await w.all_reduce_mean(x);
    const Tensor pulled = w.combine(1 - alpha, x, alpha, center);
    center = w.combine(1 - o.beta, center, o.beta, mean);
    w.set_parameters(pulled);
    co_await w.finished(center);
  }
}

std::vector<PaperBound> easgd_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const auto k = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("tau steps and one average", "c + m / tau", "synchronous EASGD [derived]",
                     c + m / k)};
}

Schedule make_easgd(ObjectReader& options, const ScheduleContext&) {
  EasgdOptions o;
  o.period = options.integer_or("period", 10, 1);
  o.beta = options.number("beta", 0, 1, 0.9);
  options.finish();
  Schedule s;
  s.name = "easgd";
  s.description = fmt::format("elastic pull to a centre every {} steps, beta {}", o.period, o.beta);
  s.worker = [o](Worker& w) { return easgd(w, o); };
  s.bounds = [o](const BoundInputs& in) { return easgd_bounds(in, o.period); };
  s.wire_s = [o](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(o.period);
  };
  s.cycle = s.warm_up = o.period;
  s.drains = false;
  s.rounds_formula = fmt::format("T/{} [paper]", o.period);
  s.extra_copies = 2;  // the centre and the mean
  return s;
}

}  // namespace

extern const ScheduleEntry easgd_entry{"easgd", "EASGD: models on elastic strings to a centre",
                                       "Zhang, Choromanska, LeCun, NIPS 2015, arXiv 1412.6651",
                                       "period: tau (10); beta (0.9): alpha = beta / N",
                                       make_easgd};

}  // namespace paceline
