// LAGS-SGD: layer-wise adaptive gradient sparsification. Going down from the last layer: backward
// of a layer, its top-k (on the compute stream: it delays the rest of backward), and its exchange,
// which overlaps with the layers below. Shi et al., ECAI 2020, arXiv 1911.08727.

#include <cmath>

#include "algorithms/lags_model.hpp"
#include "algorithms/sparsity.hpp"

namespace paceline {
namespace {

// For l = L..1:  a = eps_l + eta g_l;  s = TopK(a, k_l);  eps_l = a - s;
//                theta_l -= (1/P) sum_p s_p
Program lags_sgd(Worker& w, SparsifyOptions o) {
  const Selector selector = o.selector_of(w);
  const std::vector<SparseGroup> groups = sparse_groups(w.model(), o, SparsifyCosts(w, selector));
  std::vector<Tensor> residual;
  for (const SparseGroup& group : groups)
    residual.push_back(w.zeros(group.elements, w.parameters(group.range).offset()));
  std::vector<Pending<Gathered>> arriving(groups.size());
  std::vector<Tensor> means(groups.size());

  for (const Step step : w.steps()) {
    const double scale = o.scaled ? w.learning_rate(step.index) : 1;
    const std::size_t stage = o.stage(step.index);
    w.phase(static_cast<std::int64_t>(stage));
    w.forward();
    for (std::size_t i = 0; i < groups.size(); ++i) {
      co_await w.backward(groups[i].last_ready);
      const Selection selection = w.select(residual[i], scale, w.gradient(groups[i].range),
                                           groups[i].k_in_stage(o, stage), selector);
      residual[i] = selection.residual;
      arriving[i] = w.all_gather(selection.sent);
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
      Gathered blocks = co_await arriving[i];
      means[i] = w.scatter_mean(blocks);
    }
    co_await w.spawn(apply_sparse_means(w, o, means));
  }
}

std::vector<PaperBound> lags_bounds(const BoundInputs& in, const SparsifyOptions& o) {
  const SparsifyCosts costs(in, o);
  std::vector<LagsGroup> groups;
  double select_s = 0, exchange_s = 0;
  const std::vector<SparseGroup> sparse = sparse_groups(*in.model, o, costs);
  // The model's times are those of a GPU of full speed, t_b those of the slowest.
  double full_speed_s = 0;
  for (const auto& tensor : in.model->tensors) full_speed_s += tensor.backward_s;
  const double ratio = full_speed_s > 0 ? in.backward_s / full_speed_s : 1;
  const double slowdown = std::abs(ratio - 1) > 1e-9 ? ratio : 1;
  for (const SparseGroup& group : sparse) {
    LagsGroup times{0, costs.select_s(static_cast<double>(group.elements), group.k),
                    costs.exchange_s(group.k)};
    for (TensorId t = group.range.first; t <= group.range.last; ++t)
      times.backward_s += slowdown * in.model->tensors[t].backward_s;
    groups.push_back(times);
    select_s += times.select_s;
    exchange_s += times.gather_s;
  }
  const double f = in.forward_s, b = in.backward_s, update = sparse_update_s(in, o, sparse);
  const std::string s_max = "(t_f + t_b + t_c) / (t_f + max(t_b, t_c))";
  return {
      linear_speedup("definition: nothing but computation", f + b + update),
      time_bound("pipeline of layers", "t_f + c_1 + tc_1 + update",
                 "LAGS-SGD recursion over its groups [code]", lags_iteration_s(f, groups, update)),
      speedup_bound("S_max, t_c = communication", s_max, "LAGS-SGD, as the paper reads [derived]",
                    lags_s_max(f, b, exchange_s), "SLGS-SGD"),
      speedup_bound("S_max, t_c = sparsification", s_max,
                    "LAGS-SGD, as its script evaluates it [code]", lags_s_max(f, b, select_s),
                    "SLGS-SGD")};
}

Schedule make_lags(ObjectReader& options, const ScheduleContext& context) {
  return make_sparsified({"lags-sgd", "layer-wise top-k", true, lags_sgd, lags_bounds,
                          "T (every iteration), 8 bytes per selected element and worker [code]"},
                         options, context);
}

}  // namespace

extern const ScheduleEntry lags_sgd_entry{
    "lags-sgd", "LAGS-SGD: layer-wise top-k, exchanged while backward goes on",
    "Shi et al., ECAI 2020, arXiv 1911.08727",
    "density (0.001) or \"adaptive\"; ratios {tensor: c}; grouping: none | threshold | omgs "
    "(threshold), threshold (8192); error_feedback: scaled | raw (scaled); selector: profile | "
    "torch_legacy | sort | radix_select | dgc_sample | gaussian_k (profile); warm_up {steps, "
    "densities}",
    make_lags};

}  // namespace paceline
