// VRL-SGD: Local-SGD whose steps are corrected by how far this worker's gradients have differed from the mean of all:
// x -= lr (g - D_i); every k steps D_i += (mean - x_i) / (lr k), x_i = mean. The D_i sum to 0. For data that are not
// identically distributed. Liang et al., arXiv 1912.12844 [code zerolxf/VRL-SGD, which averages the momentum too; here it
// stays local].

#include <fmt/format.h>

#include "algorithms/complexity.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program vrl_sgd(Worker& w, std::int64_t period) {
  Tensor drift = w.zeros(w.model().elements);  // D_i
  for (const Round round : w.rounds(period)) {
    for ([[maybe_unused]] const Step step : round.steps()) {
      w.forward();
      const Tensor gradient = co_await w.backward();
      co_await w.update(gradient - drift);
    }
    const double moved = w.learning_rate(round.end_step() - 1) *
                         static_cast<double>(round.end_step() - round.first_step());
    const Tensor x = w.parameters();
    const Tensor mean = co_await w.all_reduce_mean(x);
    if (moved > 0)
      drift = w.combine(1, drift, 1 / moved, mean - x);
    else
      drift = drift + (mean - x);  // times alone: what it costs
    w.set_parameters(mean);
    co_await w.finished(drift);
  }
}

std::vector<PaperBound> vrl_bounds(const BoundInputs& in, std::int64_t period) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  const auto k = static_cast<double>(period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("k steps and one average", "c + m / k", "VRL-SGD, as Local-SGD [derived]",
                     c + m / k)};
}

Schedule make_vrl_sgd(ObjectReader& options, const ScheduleContext&) {
  const std::int64_t period = options.integer_or("period", 20, 1);
  options.finish();
  Schedule s;
  s.name = "vrl-sgd";
  s.description =
      fmt::format("average every {} steps, each step corrected by the worker's drift", period);
  s.worker = [period](Worker& w) { return vrl_sgd(w, period); };
  s.bounds = [period](const BoundInputs& in) { return vrl_bounds(in, period); };
  s.wire_s = [period](const BoundInputs& in) {
    return in.dense_wire_s() / static_cast<double>(period);
  };
  s.cycle = s.warm_up = period;
  s.drains = false;
  s.rounds_formula = fmt::format("T/{}; O(N^(3/2) T^(1/2)) whatever the data [paper]", period);
  s.extra_copies = 2;  // D and the mean
  return s;
}

}  // namespace

extern const ScheduleEntry vrl_sgd_entry{
    "vrl-sgd", "VRL-SGD: Local-SGD with a correction of each worker's drift",
    "Liang et al., arXiv 1912.12844 [code zerolxf/VRL-SGD]", "period: k (20)", make_vrl_sgd};

}  // namespace paceline
