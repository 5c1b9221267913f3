// gTop-k S-SGD: a binary tree of pairwise merges keeps the k globally largest entries, so the
// message does not grow with the number of workers. What a worker sent but the tree dropped returns
// to its residual. Shi et al., ICDCS 2019, arXiv 1901.04359.

#include "algorithms/lags_model.hpp"
#include "algorithms/sparsity.hpp"

namespace paceline {
namespace {

Program gtop_k_sgd(Worker& w, SparsifyOptions o) {
  const Selector selector = o.selector_of(w);
  const SparseGroup all = sparse_groups(w.model(), o, SparsifyCosts(w, selector)).front();
  Tensor residual = w.zeros(all.elements);
  for (const Step step : w.steps()) {
    const double scale = o.scaled ? w.learning_rate(step.index) : 1;
    w.phase(static_cast<std::int64_t>(o.stage(step.index)));
    w.forward();
    Tensor gradient = co_await w.backward();
    const double k = all.k_in_stage(o, o.stage(step.index));
    const Selection mine = w.select(residual, scale, gradient, k, selector);
    Sparse kept = co_await w.gtop_k(mine.sent);
    residual = w.put_back(mine.residual, mine.sent, kept);
    const std::vector<Tensor> mean(1, w.scatter(kept));
    co_await w.spawn(apply_sparse_means(w, o, mean));
  }
}

std::vector<PaperBound> gtop_k_bounds(const BoundInputs& in, const SparsifyOptions& o) {
  const SparsifyCosts costs(in, o);
  const std::vector<SparseGroup> groups = sparse_groups(*in.model, o, costs);
  const SparseGroup& all = groups.front();
  const double c = in.forward_s + in.backward_s + sparse_update_s(in, o, groups);
  const double local = c + costs.select_s(static_cast<double>(all.elements), all.k);
  const auto p = static_cast<double>(in.workers);
  // Message cost alpha + beta * elements, from the cost of one message.
  const double alpha = in.message_s(0), beta = (in.message_s(4e6) - alpha) / 1e6;
  return {linear_speedup("definition: nothing but computation", c),
          time_bound("tree", "c + t_spar + alpha log2 P + 2 k log2 P beta", "gTop-k [paper]",
                     local + gtop_k_paper_s(p, all.k, alpha, beta)),
          time_bound("tree and broadcast", "c + t_spar + 2 alpha log2 P + 4 k log2 P beta",
                     "gTop-k, as its script evaluates it [code]",
                     local + gtop_k_script_s(p, all.k, alpha, beta)),
          time_reference("the same k by all-gather", "c + t_spar + alpha log2 P + 2 (P-1) k beta",
                         "Top-k all-gather [paper gTop-k]",
                         local + top_k_all_gather_s(p, all.k, alpha, beta))};
}

Schedule make_gtop_k(ObjectReader& options, const ScheduleContext& context) {
  return make_sparsified({"gtop-k", "tree of pairwise merges", false, gtop_k_sgd, gtop_k_bounds,
                          "T (every iteration), O(k log N) bytes per worker [paper]", false},
                         options, context);
}

}  // namespace

extern const ScheduleEntry gtop_k_entry{
    "gtop-k", "gTop-k S-SGD: the globally largest entries, by a tree",
    "Shi et al., ICDCS 2019, arXiv 1901.04359", kWholeGradientOptions, make_gtop_k};

}  // namespace paceline
