// Pipe-SGD of width 2: the gradient of iteration t is averaged while t + 1 computes, so updates are
// one iteration late: w_{t+1} = w_t - eta * mean_j g_j(w_{t-1}).
// Li, Yu, Li, Avestimehr, Kim, Schwing: "Pipe-SGD", NeurIPS 2018.

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program pipe_sgd(Worker& w) {
  Pending<Tensor> previous;
  for (const Step step : w.steps()) {
    w.forward();
    Tensor gradient = co_await w.backward();
    Pending<Tensor> average = w.all_reduce_mean(gradient);  // leaves now, is used next iteration
    if (step.index > 0) {
      Tensor mean = co_await previous;
      co_await w.update(mean);
    }
    previous = average;
  }
}

std::vector<PaperBound> pipe_sgd_bounds(const BoundInputs& in) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const double a = 1 - in.compute_while_sending;
  return {linear_speedup("definition: communication is free", c),
          time_bound("pipeline of width 2", "max(c + a m, m)",
                     "Pipe-SGD, abstract; with compute at rate 1-a while sending [derived]",
                     std::max(c + a * m, m))};
}

Schedule make_pipe_sgd(ObjectReader& options, const ScheduleContext&) {
  options.finish();
  Schedule s;
  s.name = "pipe-sgd";
  s.description = "gradients averaged during the next iteration";
  s.worker = [](Worker& w) { return pipe_sgd(w); };
  s.bounds = pipe_sgd_bounds;
  s.wire_s = [](const BoundInputs& in) { return in.dense_wire_s(); };
  s.warm_up = 2;  // the pipeline fills
  s.rounds_formula = "T (every iteration) [paper]";
  s.extra_copies = 1;  // the gradient on the wire while the next one is made
  return s;
}

}  // namespace

extern const ScheduleEntry pipe_sgd_entry{"pipe-sgd", "Pipe-SGD: gradients one iteration late",
                                          "Li et al., Pipe-SGD, NeurIPS 2018", "none",
                                          make_pipe_sgd};

}  // namespace paceline
