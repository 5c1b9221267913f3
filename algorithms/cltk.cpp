// CLTK, the cyclic local top-k of ScaleCom: each step one worker in turn selects the largest entries of what it has
// accumulated and broadcasts their indices; all send their values there, so that an all-reduce of fixed size does. Chen et al.,
// NeurIPS 2020, arXiv 2104.11125 [code kljp/exdyna].

#include <fmt/format.h>

#include "algorithms/registry.hpp"
#include "kernels/operations/signs.hpp"

namespace paceline {
namespace {

// a = residual + g; at the leader's indices a is sent, elsewhere it stays. Indices and values take 32 bits each.
Program cltk(Worker& w, double density) {
  const std::int64_t n = w.model().elements;
  const double k = std::max(1.0, std::round(density * static_cast<double>(n)));
  const SendOptions entries(32 * k / static_cast<double>(n));
  const double select_s = w.select_s(static_cast<double>(n), k, w.selector());
  const kernels::TopKMask largest{static_cast<std::size_t>(k)};
  Tensor residual = w.zeros(n);
  for (const Step step : w.steps()) {
    w.forward();
    const Tensor gradient = co_await w.backward();
    const Tensor grown = residual + gradient;
    const std::size_t leader = static_cast<std::size_t>(step.index) % w.world_size();
    Tensor mask = grown;  // of the others only its size is sent
    if (w.rank() == leader)
      mask = w.op("top_k", Activity::sparsify, std::span(&grown, 1), n, select_s,
                  [largest](auto reads, auto result) { largest(reads, std::span(&result, 1)); });
    const Tensor chosen = co_await w.broadcast(mask, leader, entries);
    Tensor sent;
    std::tie(sent, residual) = w.apply(kernels::SplitByMask{}, grown, chosen);
    w.compressed(residual, sent);
    const Tensor mean = co_await w.all_reduce_mean(sent, entries);
    co_await w.update(mean);
  }
}

std::vector<PaperBound> cltk_bounds(const BoundInputs& in, double density) {
  const double c = in.compute_s(), n = static_cast<double>(in.model->elements);
  const double k = std::max(1.0, std::round(density * n));
  const double select = in.select_s(n, k, in.selector);
  return {linear_speedup("definition: communication is free", c + select),
          time_bound("without the broadcast", "c + t_spar + m(k)",
                     "CLTK, the indices free [derived]", c + select + in.all_reduce_s(4 * k))};
}

Schedule make_cltk(ObjectReader& options, const ScheduleContext&) {
  const double density = options.number("density", 1e-9, 1, 0.001);
  options.finish();
  Schedule s;
  s.name = "cltk";
  s.description =
      fmt::format("one worker in turn chooses {} % of the entries for all", 100 * density);
  s.worker = [density](Worker& w) { return cltk(w, density); };
  s.bounds = [density](const BoundInputs& in) { return cltk_bounds(in, density); };
  s.rounds_formula = "T (every iteration), 2 k entries whatever N is [paper]";
  s.extra_copies = 3;  // residual, what is sent, the mask
  return s;
}

}  // namespace

extern const ScheduleEntry cltk_entry{
    "cltk", "CLTK (ScaleCom): one worker in turn selects for all",
    "Chen et al., NeurIPS 2020, arXiv 2104.11125 [code kljp/exdyna]", "density (0.001)", make_cltk};

}  // namespace paceline
