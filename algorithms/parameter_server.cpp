#include "algorithms/parameter_server.hpp"

#include <algorithm>
#include <map>

namespace paceline {
namespace {

struct ShardState {
  Tensor weights;
  std::vector<Request> pushes;  // of the current iteration, by order of arrival
  std::int64_t updates = 0;
};

// The mean of all pushes in rank order, whatever the order of arrival: replicas get the same bits.
Tensor mean_in_rank_order(Server& s, const std::vector<Request>& pushes) {
  std::vector<Tensor> by_rank(pushes.size());
  for (const Request& push : pushes) by_rank[push.worker] = push.data;
  return s.mean(by_rank);
}

}  // namespace

ServerOptions read_server_options(ObjectReader& options, const ScheduleContext& context,
                                  const std::string& schedule, bool front_layers_first) {
  ServerOptions o;
  o.split_above = options.integer_or("split_above", o.split_above, 1);
  o.front_layers_first = options.boolean("front_layers_first", front_layers_first);
  if (context.servers == 0)
    options.fail("schedule '" + schedule + "' needs a parameter server: none is given");
  return o;
}

double server_port_s(const BoundInputs& in) {
  const double share = in.model_bytes() / static_cast<double>(std::max<std::size_t>(1, in.servers));
  return in.server_passes * static_cast<double>(in.pushers) *
         (in.message_s(share) - in.message_s(0));
}

Program synchronous_server(Server& s) {
  std::map<std::int64_t, ShardState> shards;  // by offset in the model
  for (;;) {
    Request request = co_await s.receive();
    ShardState& shard = shards[request.shard.offset];
    if (shard.weights.elements() == 0) shard.weights = s.initial(request.shard);
    if (request.kind == Request::Kind::pull) {
      s.reply(request, shard.weights);
      continue;
    }
    s.accumulate(request);
    shard.pushes.push_back(std::move(request));
    if (shard.pushes.size() < s.worker_count()) continue;
    const Tensor mean = mean_in_rank_order(s, shard.pushes);
    shard.weights = s.update(shard.weights, mean, shard.updates++);
    for (const Request& push : shard.pushes) s.acknowledge(push, shard.weights);
    shard.pushes.clear();
  }
}

Program exchange_gradient(Worker& w, Shard shard, SendOptions how, std::int64_t step,
                          Tensor gradient) {
  const Tensor on_host = w.copy_to_host(gradient);
  co_await w.push(shard, on_host, how);
  Tensor weights = co_await w.pull(shard, step + 1, how);
  const Tensor on_device = w.copy_to_device(weights);
  co_await w.finished(on_device);
  w.set_parameters(on_device);
}

}  // namespace paceline
