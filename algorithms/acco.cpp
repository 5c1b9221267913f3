// ACCO, accumulate while communicating: AdamW dealt out in shares, whose reduction, step and gather go on beside the
// gradients of the next half batch. An update comes in two rounds: from the first half alone an estimate of the next
// weights, on which the next first half is computed; then from both halves the weights themselves. Nabli et al., arXiv
// 2406.02613 [code edouardoyallon/acco].

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/update.hpp"

namespace paceline {
namespace {

class AccoOptions {
 public:
  AccoOptions() = default;
  std::int64_t half = 1;  // steps of a round, half an update
  kernels::AdamWOptions adam;
};

struct AccoState {
  Tensor count;                  // of a worker's micro-batches: one number, reduced each round
  Tensor weights, mean, square;  // of this worker's share
  Tensor first;                  // its mean gradient of the first half
  std::int64_t updates = 0;
};

// Layer by layer, so that the step on the share comes between two of them, as on a stream of its own.
Program passes(Worker& w) {
  const ModelShape& model = w.model();
  for (TensorId t = 0; t < model.tensors.size(); ++t) co_await w.forward(t);
  for (const TensorId t : model.backward_order) co_await w.backward(t);
}

// theta~ = AdamW(theta, first), whose moments are forgotten; theta = AdamW(theta, (first + second) / 2).
Program exchange(Worker& w, AccoOptions o, AccoState* s, Tensor gradient, bool estimate,
                 Tensor* whole) {
  const std::int64_t elements = gradient.elements();
  co_await w.all_reduce_mean(s->count);
  Tensor mean = co_await w.reduce_scatter_mean(gradient);
  if (o.half > 1) mean = w.scale(1 / static_cast<double>(o.half), mean);
  if (estimate)
    s->first = mean;
  else
    mean = w.combine(0.5, s->first, 0.5, mean);
  const kernels::AdamW step(o.adam, s->updates + 1);
  Tensor m, v, moved;
  std::tie(m, v, moved) = w.apply(step, mean, s->mean, s->square, s->weights);
  if (!estimate) {
    s->mean = m;
    s->square = v;
    s->weights = moved;
    ++s->updates;
  }
  *whole = co_await w.gather_shares(moved, elements, 0);
}

Program acco(Worker& w, AccoOptions o) {
  const std::int64_t n = w.model().elements;
  const Share own = share_of(n, w.rank(), w.world_size());
  const TensorRange all_tensors{0, static_cast<TensorId>(w.model().tensors.size() - 1)};
  AccoState state;
  state.count = w.zeros(1);
  state.weights = w.parameters().slice(own.first, own.count).copy();
  state.mean = w.zeros(own.count, own.first);
  state.square = w.zeros(own.count, own.first);
  Tensor sum, whole;
  for (const Round round : w.rounds(o.half)) {
    const bool estimate = round.index % 2 == 1;  // the first half has been computed, the second is
    w.phase(round.index % 2);
    Pending<> exchanged;
    o.adam.learning_rate = w.learning_rate(round.first_step());
    if (round.index > 0) exchanged = w.spawn(exchange(w, o, &state, sum, estimate, &whole));
    for (const Step step : round.steps()) {
      co_await w.spawn(passes(w));
      const Tensor gradient = w.gradient(all_tensors);
      sum = step.index == round.first_step() ? gradient : sum + gradient;
    }
    if (round.index > 0) {
      co_await exchanged;
      w.set_parameters(whole);
    }
  }
}

std::vector<PaperBound> acco_bounds(const BoundInputs& in, const AccoOptions& o) {
  const auto k = static_cast<double>(o.half);
  const double passes_s = in.forward_s + in.backward_s;
  const double wire = 2 * (in.all_gather_s(in.model_bytes()) - in.all_gather_s(0));
  return {linear_speedup("definition: communication and the optimiser are free", passes_s),
          time_bound("everything hidden", "max(k (t_f + t_b), RS + AG) / k",
                     "ACCO, its rounds of k steps [derived]", std::max(k * passes_s, wire) / k)};
}

Schedule make_acco(ObjectReader& options, const ScheduleContext&) {
  AccoOptions o;
  o.half = options.integer_or("half", 1, 1);
  o.adam.beta1 = options.number("beta1", 0, 1, 0.9);
  o.adam.beta2 = options.number("beta2", 0, 1, 0.95);
  o.adam.epsilon = options.number("epsilon", 1e-30, 1, o.adam.epsilon);
  o.adam.weight_decay = options.number("weight_decay", 0, 1, 0.1);
  options.finish();
  Schedule s;
  s.name = "acco";
  s.description =
      fmt::format("AdamW in shares beside the next half batch of {} step{}, two rounds an update",
                  o.half, o.half == 1 ? "" : "s");
  s.worker = [o](Worker& w) { return acco(w, o); };
  s.bounds = [o](const BoundInputs& in) { return acco_bounds(in, o); };
  s.wire_s = [o](const BoundInputs& in) {
    return 2 * (in.all_gather_s(in.model_bytes()) - in.all_gather_s(0)) /
           static_cast<double>(o.half);
  };
  s.cycle = s.warm_up = 2 * o.half;  // in the first round nothing is exchanged
  s.rounds_formula = o.half == 1 ? "T, less the first [paper]"
                                 : fmt::format("T/{}, less the first [paper]", o.half);
  s.sharded.optimizer = true;
  s.extra_copies = o.half > 1 ? 3 : 2;  // the gradient and the weights that travel; their sum
  s.own_update = true;
  return s;
}

}  // namespace

extern const ScheduleEntry acco_entry{
    "acco", "ACCO: accumulate while communicating, two rounds an update",
    "Nabli et al., arXiv 2406.02613 [code edouardoyallon/acco]",
    "half: steps of half an update (1); beta1 (0.9); beta2 (0.95); epsilon (1e-8); weight_decay "
    "(0.1)",
    make_acco};

}  // namespace paceline
