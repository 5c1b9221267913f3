// CoCoD-SGD: while the average of the models is on the wire, run k local steps; then
// x_i^{t+k} = mean_j x_j^t - eta * sum_{tau=t}^{t+k-1} g_i(x_i^tau).
// Shen, Liu, Liang: "Faster distributed deep net training: computation and communication decoupled
// stochastic gradient descent", IJCAI 2019 (arXiv 1906.12043). On a heterogeneous cluster each
// worker's batch is proportional to its speed and the mean is weighted by the batches: both are
// properties of the run (Worker::weight), so the program stays the same.

#include <fmt/format.h>

#include "algorithms/complexity.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program cocod_sgd(Worker& w, std::int64_t period) {
  for (const Round round : w.rounds(period)) {
    Tensor start = w.parameters().copy();
    Pending<Tensor> average = w.all_reduce_mean(start);                 // leaves now
    for (const Step step : round.steps()) co_await w.local_step(step);  // computes meanwhile
    Tensor progress = w.parameters() - start;
    Tensor mean = co_await average;
    w.set_parameters(mean + progress);
  }
}

std::vector<PaperBound> cocod_sgd_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const double a = 1 - in.compute_while_sending;
  const auto k = static_cast<double>(period);
  return {linear_speedup("in the total computation capability [paper]", c),
          time_bound("computation and communication decoupled", "max(k c + a m, m) / k",
                     "CoCoD-SGD: blocks only if the average outlasts k steps; with compute at rate "
                     "1-a while sending [derived]",
                     std::max(k * c + a * m, m) / k)};
}

Schedule make_cocod_sgd(ObjectReader& options, const ScheduleContext&) {
  const std::int64_t period = options.integer_or("period", 5, 1);
  options.finish();
  Schedule s;
  s.name = "cocod-sgd";
  s.description = fmt::format("average of the models every {} steps, hidden behind them", period);
  s.worker = [period](Worker& w) { return cocod_sgd(w, period); };
  s.bounds = [period](const BoundInputs& in) { return cocod_sgd_bounds(in, period); };
  s.wire_s = [period](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(period);
  };
  s.cycle = s.warm_up = period;
  s.rounds_formula = local_rounds_formula(period);
  s.extra_copies = 2;  // the snapshot, and the progress beside it
  return s;
}

}  // namespace

extern const ScheduleEntry cocod_sgd_entry{
    "cocod-sgd", "CoCoD-SGD: k local steps hide the average of the models",
    "Shen, Liu, Liang, IJCAI 2019, arXiv 1906.12043", "period: k, steps between averages (5)",
    make_cocod_sgd};

}  // namespace paceline
