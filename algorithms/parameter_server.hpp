#pragma once

#include <string>
#include <vector>

#include "algorithms/bounds.hpp"
#include "algorithms/registry.hpp"
#include "algorithms/server.hpp"
#include "algorithms/sharding.hpp"

namespace paceline {

/// Options that all parameter-server schedules share. Has a constructor: options travel into
/// coroutines by value.
class ServerOptions {
 public:
  ServerOptions() = default;
  std::int64_t split_above =
      1'000'000;  ///< elements above which a tensor is split over all servers
  bool front_layers_first =
      true;  ///< priority = -layer index, so that the next forward can start early
};

/// Reads split_above and front_layers_first. Throws InputError for them, and if there is no host to
/// run a server.
ServerOptions read_server_options(ObjectReader& options, const ScheduleContext& context,
                                  const std::string& schedule, bool front_layers_first);

/// N S / (servers B): what one server takes or gives, over its port, without latency; takes and
/// gives, where the port carries both directions together.
double server_port_s(const BoundInputs& in);

/// The unmodified synchronous server [code of MXNet's kvstore_dist_server]: waits for the gradients
/// of all workers, updates once with their mean, acknowledges every push, and answers pulls with
/// the current weights.
Program synchronous_server(Server& s);

/// Message options of a tensor.
inline SendOptions send_options(const ServerOptions& options, TensorId tensor, double bits = 0) {
  return SendOptions(bits, options.front_layers_first ? -static_cast<int>(tensor) : 0);
}

/// One iteration of plain S-SGD over parameter servers for one shard: gradient to the host, push,
/// pull, weights to the device.
Program exchange_gradient(Worker& w, Shard shard, SendOptions how, std::int64_t step,
                          Tensor gradient);

}  // namespace paceline
