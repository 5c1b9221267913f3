// SGP, stochastic gradient push: no all-reduce. Every step a worker sends half of its (biased) weights to one peer, 2^i
// ranks on for a rotating i, and adds what arrives; x / w, with w pushed alike, is what it computes with. Assran et al.,
// ICML 2019, arXiv 1811.10792 [code facebookresearch/stochastic_gradient_push].

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

// What has been pushed to this worker, and its weight.
struct Push {
  Pending<Tensor> x;
  double weight = 0;
};

// All workers push alike, so w is the same on all and follows from the steps alone: 1 if what is sent is added in the same
// step, else what is not under way. `overlap`: it is added a step later, behind the next computation.
Program sgp(Worker& w, bool overlap) {
  const std::size_t n = w.world_size(), rank = w.rank();
  const auto hops = std::max<std::size_t>(1, std::bit_width(n - 1));
  Tensor x = w.parameters();
  double weight = 1;
  Push late;
  for (const Step step : w.steps()) {
    w.phase(step.index % static_cast<std::int64_t>(hops));
    w.forward();
    const Tensor gradient = co_await w.backward();
    w.set_parameters(x);
    co_await w.update(gradient);
    x = w.parameters();
    if (n == 1) continue;
    const std::size_t hop = (std::size_t{1} << (static_cast<std::size_t>(step.index) % hops)) % n;
    x = 0.5 * x;
    weight /= 2;
    w.send((rank + hop) % n, x);
    Push push;
    push.x = w.receive((rank + n - hop) % n, x.elements());
    push.weight = weight;
    if (overlap) std::swap(push, late);
    if (push.weight > 0) {
      const Tensor arrived = co_await push.x;
      x = x + arrived;
      weight += push.weight;
    }
    const Tensor z = (1 / weight) * x;
    w.set_parameters(weight == 1 ? x : z);
  }
}

std::vector<PaperBound> sgp_bounds(const BoundInputs& in, bool overlap) {
  const double c = in.compute_s(), message = in.workers > 1 ? in.message_s(in.model_bytes()) : 0;
  const double wire = in.workers > 1 ? message - in.message_s(0) : 0;
  if (overlap)
    return {linear_speedup("definition: communication is free", c),
            time_bound("push hidden", "max(c, S/B)", "SGP, one message behind a step [derived]",
                       std::max(c, wire))};
  return {
      linear_speedup("definition: communication is free", c),
      time_bound("one message", "c + alpha + S/B", "SGP, nothing overlaps [derived]", c + message)};
}

Schedule make_sgp(ObjectReader& options, const ScheduleContext&) {
  const bool overlap = options.boolean("overlap", false);
  options.finish();
  Schedule s;
  s.name = "sgp";
  s.description =
      fmt::format("half of the weights pushed to one peer of a rotating exponential graph{}",
                  overlap ? ", added a step later" : "");
  s.worker = [overlap](Worker& w) { return sgp(w, overlap); };
  s.bounds = [overlap](const BoundInputs& in) { return sgp_bounds(in, overlap); };
  s.cycle = 1;
  s.warm_up = overlap ? 2 : 0;
  s.rounds_formula = "T messages of the model to one peer [paper]";
  s.extra_copies = overlap ? 3 : 2;  // x and what is sent, what arrives later
  return s;
}

}  // namespace

extern const ScheduleEntry sgp_entry{
    "sgp", "SGP: weights pushed to one peer a step", "Assran et al., ICML 2019, arXiv 1811.10792",
    "overlap: what is pushed is added a step later (false)", make_sgp};

}  // namespace paceline
