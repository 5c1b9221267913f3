// ASGD: the server updates on every gradient that arrives; no worker waits for another. DC-ASGD
// corrects each gradient for the updates it has missed.

#include <fmt/format.h>

#include <map>

#include "algorithms/parameter_server.hpp"
#include "algorithms/registry.hpp"

namespace paceline {
namespace {

Program asgd(Worker& w, ServerOptions o) {
  const std::vector<std::vector<Shard>> shards =
      shard_tensors(w.model(), w.server_count(), o.split_above);
  std::vector<Pending<>> exchanges;
  for (const Step step : w.steps()) {
    w.forward();
    for (const TensorId t : w.model().backward_order) {
      const Tensor gradient = co_await w.backward(t);
      for (const Shard& shard : shards[t])
        exchanges.push_back(w.spawn(
            exchange_gradient(w, shard, send_options(o, t), step.index,
                              gradient.slice(shard.offset - gradient.offset(), shard.elements))));
    }
    co_await all(
        exchanges);  // the worker goes on with the weights it pulled: its own pull is exposed
    exchanges.clear();
  }
}

class Compensation {
 public:
  Compensation() = default;
  bool on = false;
  double lambda = 0.04;
  bool adaptive = false;  ///< lambda / sqrt(mean square + 1e-7)
  double decay = 0.95;
};

struct ShardState {
  Tensor weights;
  Tensor mean_square;
  std::map<std::uint32_t, Tensor> pulled;  // by worker: the weights its next gradient is taken at
  std::int64_t updates = 0;
};

Tensor compensate(Server& s, const Compensation& c, const Tensor& gradient, ShardState& shard,
                  const Tensor& backup) {
  if (!c.adaptive)
    return s.apply(kernels::DelayCompensate{c.lambda}, gradient, shard.weights, backup);
  Tensor compensated;
  std::tie(compensated, shard.mean_square) =
      s.apply(kernels::DelayCompensateAdaptive(c.lambda, c.decay), gradient, shard.weights, backup,
              shard.mean_square);
  return compensated;
}

Program asynchronous_server(Server& s, Compensation compensation) {
  std::map<std::int64_t, ShardState> shards;
  for (;;) {
    const Request request = co_await s.receive();
    ShardState& shard = shards[request.shard.offset];
    if (shard.weights.elements() == 0) {
      shard.weights = s.initial(request.shard);
      shard.mean_square = s.zeros(request.shard.elements, request.shard.offset);
    }
    if (request.kind == Request::Kind::pull) {
      s.reply(request, shard.weights);
      if (compensation.on) shard.pulled[request.worker] = shard.weights;
      continue;
    }
    Tensor gradient = request.data;
    if (const auto backup = shard.pulled.find(request.worker);
        compensation.on && backup != shard.pulled.end())
      gradient = compensate(s, compensation, gradient, shard, backup->second);
    // The learning rate follows epochs: N updates of the server are one iteration of every worker.
    const std::int64_t iteration = shard.updates++ / static_cast<std::int64_t>(s.worker_count());
    shard.weights = s.update(shard.weights, gradient, iteration);
    s.acknowledge(request, shard.weights);
  }
}

std::vector<PaperBound> asgd_bounds(const BoundInputs& in) {
  const double servers = static_cast<double>(std::max<std::size_t>(1, in.servers));
  const double own = in.forward_s + in.backward_s + in.message_s(in.model_bytes() / servers);
  return {time_bound("own pull or server port", "max(t_f + t_b + pull, N S / (servers B))",
                     "no barrier: a worker waits only for its own pull [derived]",
                     std::max(own, server_port_s(in)))};
}

Schedule make(const std::string& name, ObjectReader& options, const ScheduleContext& context) {
  const ServerOptions o = read_server_options(options, context, name, false);
  Compensation c;
  if (name == "dc-asgd") {
    c.on = true;
    c.lambda = options.number("lambda", 0, 1e6, c.lambda);
    c.adaptive = options.boolean("adaptive", false);
    c.decay = options.number("decay", 0, 1, c.decay);
  }
  options.finish();
  Schedule s;
  s.name = name;
  s.description = c.on ? fmt::format("asynchronous, delay compensation {} lambda {}",
                                     c.adaptive ? "adaptive" : "constant", c.lambda)
                       : "asynchronous: an update for every gradient that arrives";
  s.worker = [o](Worker& w) { return asgd(w, o); };
  s.server = [c](Server& server) { return asynchronous_server(server, c); };
  s.bounds = asgd_bounds;
  s.warm_up = 2;
  s.drains = false;
  s.synchronous = false;
  s.rounds_formula = "T per worker, without barrier [paper]";
  return s;
}

}  // namespace

extern const ScheduleEntry asgd_entry{"asgd", "ASGD: asynchronous SGD over parameter servers",
                                      "Dean et al. 2012",
                                      "split_above (1000000 elements), front_layers_first (false)",
                                      [](ObjectReader& options, const ScheduleContext& context) {
                                        return make("asgd", options, context);
                                      }};
extern const ScheduleEntry dc_asgd_entry{
    "dc-asgd", "DC-ASGD: ASGD with delay compensation", "Zheng et al. 2017, arXiv 1609.08326",
    "lambda (0.04), adaptive (false), decay (0.95), split_above (1000000 elements), "
    "front_layers_first (false)",
    [](ObjectReader& options, const ScheduleContext& context) {
      return make("dc-asgd", options, context);
    }};

}  // namespace paceline
