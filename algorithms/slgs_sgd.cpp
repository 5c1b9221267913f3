// SLGS-SGD, the single-layer form that LAGS-SGD is compared with: after backward one top-k over the
// whole gradient with error feedback, one sparse all-gather, one update.
// Shi et al., arXiv 1911.08727; Top-k SGD: Aji, Heafield 2017.

#include "algorithms/lags_model.hpp"
#include "algorithms/sparsity.hpp"

namespace paceline {
namespace {

// a = eps + eta g;  s = TopK(a, k);  eps = a - s;  theta -= (1/P) sum_p s_p
Program slgs_sgd(Worker& w, SparsifyOptions o) {
  const Selector selector = o.selector_of(w);
  const SparseGroup all = sparse_groups(w.model(), o, SparsifyCosts(w, selector)).front();
  Tensor residual = w.zeros(all.elements);
  for (const Step step : w.steps()) {
    const double scale = o.scaled ? w.learning_rate(step.index) : 1;
    w.phase(static_cast<std::int64_t>(o.stage(step.index)));
    w.forward();
    Tensor gradient = co_await w.backward();
    const double k = all.k_in_stage(o, o.stage(step.index));
    const Selection selection = w.select(residual, scale, gradient, k, selector);
    residual = selection.residual;
    Gathered blocks = co_await w.all_gather(selection.sent);
    const std::vector<Tensor> mean(1, w.scatter_mean(blocks));
    co_await w.spawn(apply_sparse_means(w, o, mean));
  }
}

std::vector<PaperBound> slgs_bounds(const BoundInputs& in, const SparsifyOptions& o) {
  const SparsifyCosts costs(in, o);
  const std::vector<SparseGroup> groups = sparse_groups(*in.model, o, costs);
  const SparseGroup& all = groups.front();
  const double c = in.forward_s + in.backward_s + sparse_update_s(in, o, groups);
  return {linear_speedup("definition: nothing but computation", c),
          time_bound("compute, select, exchange", "t_f + t_b + t_spar + t_comm + update",
                     "SLGS-SGD: nothing overlaps [paper]",
                     c + costs.select_s(static_cast<double>(all.elements), all.k) +
                         costs.exchange_s(all.k))};
}

Schedule make_slgs(ObjectReader& options, const ScheduleContext& context) {
  return make_sparsified(
      {"slgs-sgd", "one top-k over the whole gradient", false, slgs_sgd, slgs_bounds,
       "T (every iteration), 8 bytes per selected element and worker [code]"},
      options, context);
}

}  // namespace

extern const ScheduleEntry slgs_sgd_entry{
    "slgs-sgd", "SLGS-SGD: top-k over the whole gradient, then a sparse all-gather",
    "Shi et al., arXiv 1911.08727", kWholeGradientOptions, make_slgs};

}  // namespace paceline
