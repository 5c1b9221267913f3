// OD-SGD: one step of delay. The workers do not wait for the synchronous server: each takes a local
// step from the weights it pulled last and computes the next gradient there, while its own gradient
// and the global weights are under way. (arXiv 2005.06728 [code CynthiaProtector/OD-SGD].) CD-SGD
// sends the gradient in 2 bits.

#include <fmt/format.h>

#include "algorithms/parameter_server.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

class OdOptions {
 public:
  OdOptions() = default;
  ServerOptions server;
  std::int64_t warm_up = 200;  ///< iterations of S-SGD first
  double local_rate = 0.5;     ///< eta_loc
  double lambda = 0.04;        ///< delay compensation; 0: none
  double weight_decay = 0;
  bool quantize = false;        ///< CD-SGD: 2-bit push with residual
  double threshold = 0.5;       ///< of the 2-bit quantiser
  std::int64_t full_every = 5;  ///< CD-SGD: every so-manyth push is fp32
};

// What a worker keeps of one shard, on the host.
struct ShardState {
  Shard shard;
  Tensor weights;   // W_i: the last pull
  Tensor previous;  // W_{i-1}
  Tensor arrived;   // W_{i+1} once `pull` is done
  Tensor residual;  // of the quantiser
  Pending<> pull;   // under way
};

// L = W_i - eta_loc [g~ + wd W_i + lambda g~ g~ (W_i - W_{i-1})],  g~ = g / N.
Tensor local_update(Worker& w, const OdOptions& o, const ShardState& s, const Tensor& gradient) {
  const kernels::OdSgdLocalUpdate update{o.local_rate, o.weight_decay, o.lambda,
                                         1 / static_cast<double>(w.world_size())};
  return w.host().apply(update, gradient, s.weights, s.previous);
}

// What arrives of the gradient in 2 bits; the rest stays in the residual.
Tensor quantize(Worker& w, double threshold, ShardState& s, const Tensor& gradient) {
  Tensor sent;
  std::tie(sent, s.residual) =
      w.host().apply(kernels::TwoBitQuantize{threshold}, gradient, s.residual);
  w.compressed(s.residual, sent);
  return sent;
}

Program push_and_pull(Worker& w, ShardState* s, Tensor gradient, SendOptions push, SendOptions pull,
                      std::int64_t step) {
  co_await w.push(s->shard, gradient, push);
  s->arrived = co_await w.pull(s->shard, step + 1, pull);
}

// One shard of one iteration: ends when the local weights are on the device; the push and pull go
// on behind it.
Program delayed_exchange(Worker& w, OdOptions o, ShardState* s, std::int64_t step,
                         Tensor gradient) {
  const Tensor on_host = w.copy_to_host(gradient);
  co_await s->pull;  // W_i must be home before the local step
  s->previous = s->weights;
  s->weights = s->arrived;
  const Tensor local = local_update(w, o, *s, on_host);
  const bool full = !o.quantize || step % o.full_every == 0;
  const Tensor sent = full ? on_host : quantize(w, o.threshold, *s, on_host);
  const SendOptions push = send_options(o.server, s->shard.tensor, full ? 0 : 2);
  s->pull = w.spawn(push_and_pull(w, s, sent, push, send_options(o.server, s->shard.tensor), step));
  const Tensor on_device = w.copy_to_device(local);
  co_await w.finished(on_device);
  w.set_parameters(on_device);
}

// An iteration of the warm-up. It leaves the newest weights on the device, and on the host the last
// two, as the first delayed one expects them.
Program synchronous_exchange(Worker& w, OdOptions o, ShardState* s, std::int64_t step,
                             Tensor gradient) {
  const Tensor on_host = w.copy_to_host(gradient);
  const SendOptions how = send_options(o.server, s->shard.tensor);
  co_await w.push(s->shard, on_host, how);
  s->weights = s->arrived;
  s->arrived = co_await w.pull(s->shard, step + 1, how);
  const Tensor on_device = w.copy_to_device(s->arrived);
  co_await w.finished(on_device);
  w.set_parameters(on_device);
}

Program od_sgd(Worker& w, OdOptions o) {
  std::vector<std::vector<ShardState>> shards;
  for (const std::vector<Shard>& tensor :
       shard_tensors(w.model(), w.server_count(), o.server.split_above)) {
    std::vector<ShardState>& states = shards.emplace_back();
    for (const Shard& shard : tensor) {
      ShardState& state = states.emplace_back();
      state.shard = shard;
      state.weights = state.arrived = w.parameters().slice(shard.offset, shard.elements);
      state.residual = w.zeros(shard.elements, shard.offset);
    }
  }
  std::vector<std::vector<Pending<>>> ready(
      shards.size());  // by tensor: its weights for the next forward
  for (const Step step : w.steps()) {
    for (TensorId t = 0; t < shards.size(); ++t) {
      co_await all(ready[t]);
      w.forward(t);
      ready[t].clear();
    }
    const bool synchronous = step.index < o.warm_up;
    for (const TensorId t : w.model().backward_order) {
      const Tensor gradient = co_await w.backward(t);
      for (ShardState& s : shards[t]) {
        const Tensor part = gradient.slice(s.shard.offset - gradient.offset(), s.shard.elements);
        if (synchronous)
          ready[t].push_back(w.spawn(synchronous_exchange(w, o, &s, step.index, part)));
        else
          ready[t].push_back(w.spawn(delayed_exchange(w, o, &s, step.index, part)));
      }
    }
    if (step.index + 1 == w.step_count()) {
      for (const std::vector<Pending<>>& tensor : ready) co_await all(tensor);
      for (std::vector<ShardState>& tensor : shards)
        for (ShardState& s : tensor) co_await s.pull;
    }
  }
}

std::vector<PaperBound> od_bounds(const BoundInputs& in) {
  return {time_bound("hidden exchange", "max(t_f + t_b + e_local, N S / (servers B)), e_local -> 0",
                     "OD-SGD hides push and pull behind one iteration [derived]",
                     std::max(in.forward_s + in.backward_s, server_port_s(in)))};
}

Schedule make(const std::string& name, ObjectReader& options, const ScheduleContext& context) {
  OdOptions o;
  o.quantize = name == "cd-sgd";
  o.server = read_server_options(options, context, name, true);
  o.warm_up = options.integer_or("warm_up", o.quantize ? 1000 : 200, 0);
  o.local_rate = options.number("local_rate", 0, 1e6, o.local_rate);
  o.lambda = options.number("lambda", 0, 1e6, o.quantize ? 0.0 : o.lambda);
  o.weight_decay = options.number("weight_decay", 0, 1, 0);
  if (o.quantize) {
    o.threshold = options.number("threshold", 1e-30, 1e30, o.threshold);
    o.full_every = options.integer_or("full_every", 5, 1);
  }
  options.finish();
  Schedule s;
  s.name = name;
  s.description =
      o.quantize ? fmt::format("one-step delay, 2-bit push, fp32 every {}", o.full_every)
                 : fmt::format("one-step delay, local rate {}, lambda {}", o.local_rate, o.lambda);
  s.worker = [o](Worker& w) { return od_sgd(w, o); };
  s.server = synchronous_server;
  // Two bits to push: the pulls alone may load the busiest link.
  s.bounds = [quantize = o.quantize](BoundInputs in) {
    if (quantize) in.server_passes = 1;
    return od_bounds(in);
  };
  s.cycle = o.quantize ? o.full_every : 1;
  s.warm_up = o.warm_up + 3 * s.cycle;
  s.extra_copies = 0;  // W_i and W_{i-1} stay on the host
  s.rounds_formula = "T (every iteration), hidden behind the next [paper]";
  return s;
}

}  // namespace

extern const ScheduleEntry od_sgd_entry{
    "od-sgd", "OD-SGD: one-step delay SGD",
    "Xu et al. 2020, arXiv 2005.06728 [code CynthiaProtector/OD-SGD]",
    "warm_up (200 iterations of S-SGD), local_rate (0.5), lambda (0.04), weight_decay (0), "
    "split_above (1000000), "
    "front_layers_first (true)",
    [](ObjectReader& options, const ScheduleContext& context) {
      return make("od-sgd", options, context);
    }};
extern const ScheduleEntry cd_sgd_entry{
    "cd-sgd", "CD-SGD: OD-SGD with a 2-bit push", "Yu et al. 2021 [code Tugraph/CD-SGD]",
    "warm_up (1000), threshold (0.5), full_every (5), local_rate (0.5), lambda (0), weight_decay "
    "(0), split_above "
    "(1000000), front_layers_first (true)",
    [](ObjectReader& options, const ScheduleContext& context) {
      return make("cd-sgd", options, context);
    }};

}  // namespace paceline
