// STL-SGD: Local-SGD in stages. Stage s has 2^s times the steps of the first, at 2^-s times the
// learning rate, and the period grows as the rate falls: by 2 a stage if the workers' data are
// identically distributed, by sqrt(2) if not. Shen, Cheng, Liu, Xu, AAAI 2021, arXiv 2006.06377
// [recalled]. The rates themselves are the run's; give it the same stages.

#include <fmt/format.h>

#include <cmath>

#include "algorithms/registry.hpp"

namespace paceline {
namespace {

struct StlOptions {
  double period = 5;               // k_1
  std::int64_t first_stage = 100;  // T_1, steps
  double growth = 2;               // of the period from stage to stage
};

struct Stage {
  std::int64_t number = 0, first = 0, last = 0, period = 1;
};

Stage stage_of(const StlOptions& o, std::int64_t step) {
  Stage stage{0, 0, o.first_stage, 1};
  while (step >= stage.last) {
    ++stage.number;
    stage.first = stage.last;
    stage.last += o.first_stage << stage.number;
  }
  stage.period = std::max<std::int64_t>(
      1, std::llround(o.period * std::pow(o.growth, static_cast<double>(stage.number))));
  return stage;
}

Program stl_sgd(Worker& w, StlOptions o) {
  std::int64_t since_average = 0;
  for (const Step step : w.steps()) {
    w.phase(step.index);  // never the same again: the whole run is simulated
    co_await w.local_step(step);
    const Stage stage = stage_of(o, step.index);
    if (++since_average >= stage.period || step.index + 1 == stage.last) {
      Tensor mean = co_await w.all_reduce_mean(w.parameters());
      w.set_parameters(mean);
      since_average = 0;
    }
  }
}

std::vector<PaperBound> stl_bounds(const BoundInputs& in, const StlOptions& o) {
  const double c = in.compute_s(), m = in.all_reduce_s(in.model_bytes());
  return {linear_speedup("definition: communication is free", c),
          time_bound("first stage", "c + m / k_1", "STL-SGD, as Local-SGD [derived]",
                     c + m / std::max(1.0, std::round(o.period)))};
}

Schedule make_stl(ObjectReader& options, const ScheduleContext&) {
  StlOptions o;
  o.period = static_cast<double>(options.integer_or("period", 5, 1));
  o.first_stage = options.integer_or("first_stage", 100, 1, std::int64_t{1} << 30);
  const std::string data = options.choice("data", {"iid", "non-iid"}, "iid");
  options.finish();
  o.growth = data == "iid" ? 2 : std::sqrt(2.0);
  Schedule s;
  s.name = "stl-sgd";
  s.description = fmt::format("average every {} steps in a first stage of {}, then rarer ({})",
                              o.period, o.first_stage, data);
  s.worker = [o](Worker& w) { return stl_sgd(w, o); };
  s.bounds = [o](const BoundInputs& in) { return stl_bounds(in, o); };
  s.rounds_formula = data == "iid" ? "O(N log T) [recalled]" : "O(N^(1/2) T^(1/2)) [recalled]";
  return s;
}

}  // namespace

extern const ScheduleEntry stl_sgd_entry{
    "stl-sgd", "STL-SGD: Local-SGD whose period grows as the learning rate falls",
    "Shen, Cheng, Liu, Xu, AAAI 2021, arXiv 2006.06377",
    "period: k_1 (5); first_stage: T_1, steps (100); data: iid | non-iid (iid)", make_stl};

}  // namespace paceline
