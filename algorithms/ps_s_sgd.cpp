// S-SGD over parameter servers: every tensor is pushed as backward yields it and pulled back
// updated; the next forward pass takes a layer as soon as its weights are home. Or weights are
// pulled once all pushes are applied, when the next step begins, as TensorFlow's synchronous
// replicas do; or nothing overlaps.

#include "algorithms/parameter_server.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program push_gradient(Worker& w, Shard shard, SendOptions how, Tensor gradient) {
  const Tensor on_host = w.copy_to_host(gradient);
  co_await w.push(shard, on_host, how);
}

Program pull_weights(Worker& w, Shard shard, SendOptions how, std::int64_t version) {
  Tensor weights = co_await w.pull(shard, version, how);
  const Tensor on_device = w.copy_to_device(weights);
  co_await w.finished(on_device);
  w.set_parameters(on_device);
}

// Pushes overlap with backward, pulls with the next forward pass.
Program ps_s_sgd_in_step(Worker& w, ServerOptions o) {
  const std::vector<std::vector<Shard>> shards =
      shard_tensors(w.model(), w.server_count(), o.split_above);
  std::vector<std::vector<Pending<>>> home(shards.size());  // by tensor
  std::vector<Pending<>> pushed;
  const auto pull_all = [&](std::int64_t version) {
    for (TensorId t = 0; t < shards.size(); ++t)
      for (const Shard& shard : shards[t])
        home[t].push_back(w.spawn(pull_weights(w, shard, send_options(o, t), version)));
  };
  for (const Step step : w.steps()) {
    for (TensorId t = 0; t < shards.size(); ++t) {
      co_await all(home[t]);
      w.forward(t);
      home[t].clear();
    }
    for (const TensorId t : w.model().backward_order) {
      const Tensor gradient = co_await w.backward(t);
      for (const Shard& shard : shards[t])
        pushed.push_back(w.spawn(
            push_gradient(w, shard, send_options(o, t),
                          gradient.slice(shard.offset - gradient.offset(), shard.elements))));
    }
    co_await all(pushed);
    pushed.clear();
    pull_all(step.index + 1);
    if (step.index + 1 == w.step_count())
      for (const std::vector<Pending<>>& tensor : home) co_await all(tensor);
  }
}

// Without overlap the pushes leave after backward, and forward waits for all weights.
Program ps_s_sgd(Worker& w, ServerOptions o, bool overlaps) {
  const std::vector<std::vector<Shard>> shards =
      shard_tensors(w.model(), w.server_count(), o.split_above);
  std::vector<std::vector<Pending<>>> home(shards.size());  // by tensor: its shards' exchanges
  for (const Step step : w.steps()) {
    if (!overlaps)
      for (const std::vector<Pending<>>& tensor : home) co_await all(tensor);
    for (TensorId t = 0; t < shards.size(); ++t) {
      co_await all(home[t]);
      w.forward(t);
      home[t].clear();
    }
    if (!overlaps) co_await w.backward();
    for (const TensorId t : w.model().backward_order) {
      const Tensor gradient = co_await w.backward(t);
      for (const Shard& shard : shards[t])
        home[t].push_back(w.spawn(
            exchange_gradient(w, shard, send_options(o, t), step.index,
                              gradient.slice(shard.offset - gradient.offset(), shard.elements))));
    }
    if (step.index + 1 == w.step_count())
      for (const std::vector<Pending<>>& tensor : home) co_await all(tensor);
  }
}

std::vector<PaperBound> ps_bounds(const BoundInputs& in) {
  return {time_bound(
      "server port", "max(t_f + t_b, N S / (servers B))",
      "all gradients pass the servers' ports once in each direction; more where pushes and "
      "pulls share links [derived]",
      std::max(in.forward_s + in.backward_s, server_port_s(in)))};
}

Schedule make_ps_s_sgd(ObjectReader& options, const ScheduleContext& context) {
  const ServerOptions o = read_server_options(options, context, "ps-s-sgd", true);
  const std::string overlap = options.choice("overlap", {"none", "in_step", "wfbp"}, "wfbp");
  options.finish();
  Schedule s;
  s.name = "ps-s-sgd";
  s.description = overlap == "wfbp"   ? "S-SGD over parameter servers"
                  : overlap == "none" ? "S-SGD over parameter servers, exchanges after backward"
                                      : "S-SGD over parameter servers, pulls after all pushes";
  s.worker = [o, overlap](Worker& w) {
    return overlap == "in_step" ? ps_s_sgd_in_step(w, o) : ps_s_sgd(w, o, overlap == "wfbp");
  };
  s.server = synchronous_server;
  s.bounds = ps_bounds;
  s.warm_up = 2;
  s.rounds_formula = "T (every iteration) [paper]";
  return s;
}

}  // namespace

extern const ScheduleEntry ps_s_sgd_entry{
    "ps-s-sgd", "S-SGD over parameter servers",
    "Li et al. 2014; sharding and priorities as in MXNet [code]",
    "overlap: none | in_step (pulls after all pushes are applied) | wfbp (wfbp); split_above "
    "(1000000 elements), front_layers_first (true)",
    make_ps_s_sgd};

}  // namespace paceline
