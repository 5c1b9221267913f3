// AD-PSGD: asynchronous gossip. Even ranks are active: beside each step they exchange models with one odd (passive) rank,
// which answers at once; both then move half of the way to the other, x <- x + (x_peer - x) / 2, at their next border. Nobody
// waits for a straggler that is not its peer. Lian et al., ICML 2018, arXiv 1710.06952 [code
// facebookresearch/stochastic_gradient_push].

#include <fmt/format.h>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

// What a worker's exchanges and its steps have in common.
struct Gossip {
  Tensor model;               // at the last border
  std::vector<Tensor> moves;  // to be added at the next one
};

Program exchange(Worker& w, Gossip* gossip, std::size_t peer) {
  const Tensor sent = gossip->model;
  w.send(peer, sent);
  const Tensor other = co_await w.receive(peer, sent.elements());
  gossip->moves.push_back(w.combine(0.5, other, -0.5, sent));
}

// Answers so many exchanges of one active worker. What is added here leaves there, so the mean of the models stays.
Program answer(Worker& w, Gossip* gossip, std::size_t peer, std::int64_t times) {
  for (std::int64_t i = 0; i < times; ++i) {
    const Tensor other = co_await w.receive(peer, w.model().elements);
    const Tensor sent = gossip->model;
    w.send(peer, sent);
    gossip->moves.push_back(w.combine(0.5, other, -0.5, sent));
  }
}

// The odd rank that an active one asks in a step: in step no two ask the same.
std::size_t passive_of(std::size_t active, std::int64_t step, std::size_t n) {
  return 2 * ((active / 2 + static_cast<std::size_t>(step)) % (n / 2)) + 1;
}

std::vector<Pending<>> start_answers(Worker& w, Gossip* gossip) {
  std::vector<Pending<>> answers;
  const std::size_t n = w.world_size();
  for (std::size_t active = 0; active < n; active += 2) {
    std::int64_t times = 0;
    for (std::int64_t step = 0; step < w.step_count(); ++step)
      if (passive_of(active, step, n) == w.rank()) ++times;
    if (times > 0) answers.push_back(w.spawn(answer(w, gossip, active, times)));
  }
  return answers;
}

Program ad_psgd(Worker& w) {
  const std::size_t n = w.world_size();
  const bool passive = w.rank() % 2 == 1, active = !passive && n > 1;
  Gossip gossip;
  gossip.model = w.parameters();
  std::vector<Pending<>> answers;
  if (passive) answers = start_answers(w, &gossip);
  for (const Step step : w.steps()) {
    Pending<> exchanged;
    if (active) exchanged = w.spawn(exchange(w, &gossip, passive_of(w.rank(), step.index, n)));
    co_await w.local_step(step);
    co_await exchanged;
    if (step.index + 1 == w.step_count()) co_await all(answers);
    Tensor x = w.parameters();
    for (const Tensor& move : gossip.moves) x = x + move;
    gossip.moves.clear();
    co_await w.finished(x);
    w.set_parameters(x);
    gossip.model = x;
  }
}

std::vector<PaperBound> ad_psgd_bounds(const BoundInputs& in) {
  const double c = in.compute_s(), both = in.workers > 1 ? 2 * in.message_s(in.model_bytes()) : 0;
  return {linear_speedup("definition: communication is free", c),
          time_bound("exchange hidden", "max(c, 2 (alpha + S/B))",
                     "AD-PSGD, there and back behind a step [derived]", std::max(c, both))};
}

Schedule make_ad_psgd(ObjectReader& options, const ScheduleContext&) {
  options.finish();
  Schedule s;
  s.name = "ad-psgd";
  s.description = "pairwise averages beside the computation, even ranks asking odd ones";
  s.worker = [](Worker& w) { return ad_psgd(w); };
  s.bounds = ad_psgd_bounds;
  s.warm_up = 1;  // and drains: in its last step a passive worker only answers
  s.synchronous = false;
  s.rounds_formula = "T exchanges with one peer [paper]";
  s.extra_copies = 2;  // what is sent, and the move
  return s;
}

}  // namespace

extern const ScheduleEntry ad_psgd_entry{"ad-psgd", "AD-PSGD: asynchronous pairwise averaging",
                                         "Lian et al., ICML 2018, arXiv 1710.06952", "none",
                                         make_ad_psgd};

}  // namespace paceline
