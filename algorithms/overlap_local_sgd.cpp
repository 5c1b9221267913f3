// Overlap-Local-SGD: every tau steps the models are pulled towards an anchor, whose own average was
// on the wire meanwhile. Wang, Liang, Joshi, ICASSP 2020, arXiv 2002.09539; as in the authors'
// code.

#include <fmt/format.h>

#include "algorithms/complexity.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct OverlapOptions {
  std::int64_t period = 2;  // tau
  double pull = 0.6;        // a
  double momentum = 0.7;    // b
};

// x <- (1-a) x + a z;  v <- b v + (z - x) / eta;  z' <- z - eta v;  z <- mean of z', meanwhile
Program overlap_local_sgd(Worker& w, OverlapOptions o) {
  Tensor velocity = w.zeros(w.model().elements);
  Tensor first = w.parameters().copy();
  Pending<Tensor> anchor = w.all_reduce_mean(first);
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const double eta = w.learning_rate(round.end_step() - 1);
    Tensor z = co_await anchor;
    const Tensor x = w.combine(1 - o.pull, w.parameters(), o.pull, z);
    w.set_parameters(x);
    const double per_rate = eta > 0 ? 1 / eta : 0;  // at rate 0 nothing moved
    velocity = w.combine(o.momentum, velocity, per_rate, z - x);
    anchor = w.all_reduce_mean(w.combine(1, z, -eta, velocity));
  }
}

std::vector<PaperBound> overlap_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const double a = 1 - in.compute_while_sending;
  const auto k = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("average hidden behind tau steps", "max(tau c + a m, m) / tau",
                     "Overlap-Local-SGD [derived]", std::max(k * c + a * m, m) / k)};
}

Schedule make_overlap(ObjectReader& options, const ScheduleContext&) {
  OverlapOptions o;
  o.period = options.integer_or("period", 2, 1);
  o.pull = options.number("pull", 0, 1, 0.6);
  o.momentum = options.number("momentum", 0, 1, 0.7);
  options.finish();
  Schedule s;
  s.name = "overlap-local-sgd";
  s.description = fmt::format("every {} steps a pull of {} towards an anchor, anchor momentum {}",
                              o.period, o.pull, o.momentum);
  s.worker = [o](Worker& w) { return overlap_local_sgd(w, o); };
  s.bounds = [o](const BoundInputs& in) { return overlap_bounds(in, o.period); };
  s.wire_s = [o](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(o.period);
  };
  s.cycle = s.warm_up = o.period;
  s.rounds_formula = fmt::format("T/{} [derived]", o.period);
  s.extra_copies = 2;  // anchor and its velocity
  return s;
}

}  // namespace

extern const ScheduleEntry overlap_local_sgd_entry{
    "overlap-local-sgd", "Overlap-Local-SGD: an anchor averaged behind tau local steps",
    "Wang, Liang, Joshi, ICASSP 2020, arXiv 2002.09539",
    "period: tau (2); pull: a (0.6); momentum: b (0.7)", make_overlap};

}  // namespace paceline
