// Deep Gradient Compression: layer-wise top-k whose residual carries momentum. Selected entries
// lose both their residual and their momentum (masking).
// Lin, Han, Mao, Wang, Dally, ICLR 2018, arXiv 1712.01887.

#include <fmt/format.h>

#include "algorithms/sparsity.hpp"

namespace paceline {
namespace {

// u = m u + g;  v = v + u;  send TopK(v);  v, u = 0 where sent;  theta -= eta * mean of what was
// sent
Program dgc(Worker& w, SparsifyOptions o, double momentum) {
  const Selector selector = o.selector_of(w);
  const std::vector<SparseGroup> groups = sparse_groups(w.model(), o, SparsifyCosts(w, selector));
  std::vector<Tensor> u, v;
  for (const SparseGroup& group : groups) {
    u.push_back(w.zeros(group.elements, w.parameters(group.range).offset()));
    v.push_back(u.back());
  }
  std::vector<Pending<Gathered>> arriving(groups.size());

  for (const Step step : w.steps()) {
    const std::size_t stage = o.stage(step.index);
    w.phase(static_cast<std::int64_t>(stage));
    w.forward();
    for (std::size_t i = 0; i < groups.size(); ++i) {
      co_await w.backward(groups[i].last_ready);
      const MomentumSelection selection =
          w.select_with_momentum(u[i], v[i], momentum, w.gradient(groups[i].range),
                                 groups[i].k_in_stage(o, stage), selector);
      u[i] = selection.momentum;
      v[i] = selection.residual;
      arriving[i] = w.all_gather(selection.sent);
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
      Gathered blocks = co_await arriving[i];
      const Tensor mean = w.scatter_mean(blocks);
      const Tensor next =
          w.combine(1, w.parameters(groups[i].range), -w.learning_rate(step.index), mean);
      co_await w.finished(next);
      w.set_parameters(next);
    }
  }
}

std::vector<PaperBound> dgc_bounds(const BoundInputs& in) {
  return {linear_speedup("definition: nothing but computation", in.compute_s())};
}

Schedule make_dgc(ObjectReader& options, const ScheduleContext& context) {
  const SparsifyOptions o = read_sparsify_options(options, context, true, true);
  const double momentum = options.number("momentum", 0, 1, 0.9);
  options.finish();
  Schedule s;
  s.name = "dgc";
  s.description =
      fmt::format("layer-wise top-k with momentum correction {}, {}", momentum, o.describe());
  s.worker = [o, momentum](Worker& w) { return dgc(w, o, momentum); };
  s.bounds = dgc_bounds;
  s.wire_s = [o](const BoundInputs& in) { return sparse_wire_s(in, o); };
  s.warm_up = o.warm_up_end();
  s.rounds_formula = "T (every iteration), 8 bytes per selected element and worker [derived]";
  s.extra_copies = 2;  // momentum u and residual v (the optimiser's own momentum is not used)
  s.own_update = true;
  s.selector = o.selector;
  return s;
}

}  // namespace

extern const ScheduleEntry dgc_entry{
    "dgc", "Deep Gradient Compression: top-k with momentum correction and masking",
    "Lin et al., ICLR 2018, arXiv 1712.01887",
    "as lags-sgd, without error_feedback; momentum (0.9)", make_dgc};

}  // namespace paceline
