// PowerSGD: every gradient matrix M is sent as P Q^T of rank r, with error feedback; one step of
// subspace iteration per training step, starting from the last Q. Vectors are sent as they are.
// Vogels, Karimireddy, Jaggi, NeurIPS 2019, arXiv 1905.13727, algorithm 1.

#include <fmt/format.h>

#include "algorithms/low_rank.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

// M = g + e;  P = mean M Q;  P = orthonormalize(P);  Q = mean M^T P;  e = M - P Q^T;  update(P Q^T)
Program power_sgd(Worker& w, std::int64_t rank) {
  const LowRank low(w, rank);
  Tensor q = low.first_q();
  Tensor error = w.zeros(w.model().elements);
  for ([[maybe_unused]] const Step step : w.steps()) {
    w.forward();
    Tensor gradient = co_await w.backward();
    const Tensor m = gradient + error;
    const Pending<Tensor> arriving = w.all_reduce_mean(low.times_q(m, q));
    const Pending<Tensor> vectors = w.all_reduce_mean(low.vectors(m));
    Tensor p = co_await arriving;
    p = low.orthonormalize(p);
    q = co_await w.all_reduce_mean(low.transposed_times_p(m, p));
    Tensor rest = co_await vectors;
    const Tensor approximation = low.product(p, q, rest);
    error = low.error(m, approximation);
    w.compressed(error, approximation);
    co_await w.update(approximation);
  }
}

std::vector<PaperBound> power_sgd_bounds(const BoundInputs& in, std::int64_t rank) {
  const LowRankSizes sizes = low_rank_sizes(*in.model, rank);
  const auto m = [&](std::int64_t n) {
    return in.all_reduce_s(in.payload_bytes_per_element * static_cast<double>(n));
  };
  const double c = in.compute_s();
  return {linear_speedup("definition: communication is free", c),
          time_bound("three small all-reduces", "c + m(P) + m(vectors) + m(Q)",
                     "PowerSGD, algorithm 1, without its own arithmetic [derived]",
                     c + m(sizes.p) + m(sizes.vectors) + m(sizes.q))};
}

Schedule make_power_sgd(ObjectReader& options, const ScheduleContext& context) {
  const std::int64_t rank = options.integer_or("rank", 2, 1, 1024);
  options.finish();
  const LowRankSizes sizes = low_rank_sizes(*context.model, rank);
  Schedule s;
  s.name = "power-sgd";
  s.description = fmt::format(
      "gradients of rank {}: {:.1f} times fewer elements", rank,
      static_cast<double>(context.model->elements) /
          static_cast<double>(std::max<std::int64_t>(1, sizes.p + sizes.q + sizes.vectors)));
  s.worker = [rank](Worker& w) { return power_sgd(w, rank); };
  s.bounds = [rank](const BoundInputs& in) { return power_sgd_bounds(in, rank); };
  s.rounds_formula = "T (every iteration), three messages [paper]";
  s.extra_copies = 3;  // error, M and its approximation
  return s;
}

}  // namespace

extern const ScheduleEntry power_sgd_entry{
    "power-sgd", "PowerSGD: gradients of low rank with error feedback",
    "Vogels, Karimireddy, Jaggi, NeurIPS 2019, arXiv 1905.13727", "rank (2)", make_power_sgd};

}  // namespace paceline
