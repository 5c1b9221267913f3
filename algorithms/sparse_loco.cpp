// SparseLoCo: DiLoCo whose progress travels as the largest entries of each chunk, in two bits, with error feedback instead of
// an outer momentum. arXiv 2508.15706. With density 1, 32 bits and no decay it is DiLoCo without momentum.

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/signs.hpp"

namespace paceline {
namespace {

class SparseLocoOptions {
 public:
  SparseLocoOptions() = default;
  std::int64_t period = 15;  // H
  double decay = 0.95;       // b, of the error
  double rate = 1;           // a, outer learning rate
  kernels::ChunkTopK code;

  static constexpr double kIndexBits = 12;  // inside a chunk of 4096
  [[nodiscard]] double bits() const {
    return code.density < 1 ? code.density * (code.bits + kIndexBits) : code.bits;
  }
};

// D = anchor - x;  e <- b e + D;  q = coded e;  e -= q;  anchor -= a mean q
Program sparse_loco(Worker& w, SparseLocoOptions o) {
  Tensor anchor = w.parameters().copy();
  Tensor error = w.zeros(w.model().elements);
  const SendOptions coded(o.bits());
  const double entries = o.code.density * static_cast<double>(w.model().elements);
  for (const Round round : w.rounds(o.period)) {
    for (const Step step : round.steps()) co_await w.local_step(step);
    const Tensor moved = anchor - w.parameters();
    const Tensor grown = w.combine(o.decay, error, 1, moved);
    Tensor sent;
    std::tie(sent, error) = w.apply(o.code, grown);
    w.compressed(error, sent);
    const Tensor mean = co_await w.gather_mean(sent, entries, coded);
    anchor = w.combine(1, anchor, -o.rate, mean);
    w.set_parameters(anchor);
    co_await w.finished(anchor);
  }
}

std::vector<PaperBound> sparse_loco_bounds(const BoundInputs& in, const SparseLocoOptions& o) {
  const double c = in.compute_s(), n = static_cast<double>(in.workers);
  const double m = in.all_gather_s(n * static_cast<double>(in.model->elements) * o.bits() / 8);
  const auto h = static_cast<double>(o.period);
  return {linear_speedup("definition: communication is free", c),
          time_bound("H steps and one gather", "(H c + AG) / H",
                     "SparseLoCo: nothing overlaps [derived]", (h * c + m) / h)};
}

Schedule make_sparse_loco(ObjectReader& options, const ScheduleContext&) {
  SparseLocoOptions o;
  o.period = options.integer_or("period", o.period, 1);
  o.decay = options.number("decay", 0, 1, o.decay);
  o.rate = options.number("outer_rate", 0, 10, o.rate);
  o.code.density = options.number("density", 1e-6, 1, 0.01);
  o.code.bits = options.choice("values", {"2 bits", "fp32"}, "2 bits") == "fp32" ? 32 : 2;
  options.finish();
  Schedule s;
  s.name = "sparseloco";
  s.description = fmt::format("every {} steps {} % of each chunk, {} bits an element on average",
                              o.period, 100 * o.code.density, o.bits());
  s.worker = [o](Worker& w) { return sparse_loco(w, o); };
  s.bounds = [o](const BoundInputs& in) { return sparse_loco_bounds(in, o); };
  s.cycle = s.warm_up = o.period;
  s.drains = false;
  s.rounds_formula = fmt::format("T/{}, {} bits an element [paper]", o.period, o.bits());
  s.extra_copies = 3;  // anchor, error, and what arrives
  return s;
}

}  // namespace

extern const ScheduleEntry sparse_loco_entry{
    "sparseloco", "SparseLoCo: DiLoCo in a few bits of a few entries", "arXiv 2508.15706",
    "period: H (15); density: of each chunk of 4096 (0.01); values: 2 bits | fp32 (2 bits); decay: "
    "b of the error "
    "(0.95); outer_rate (1)",
    make_sparse_loco};

}  // namespace paceline
