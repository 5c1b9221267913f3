#pragma once

#include <memory>
#include <vector>

#include "algorithms/server.hpp"
#include "sim/network/connection.hpp"
#include "sim/server/node_exchange.hpp"

namespace paceline {

struct JobContext;

/// One worker's pushes to and pulls from the parameter servers of its job.
class ServerCalls {
 public:
  /// `host`: the worker's end of the connections; `wire` is told while a push is on the wire.
  ServerCalls(JobContext& job, std::uint32_t rank, Endpoint host, WireTime& wire);

  /// Sends `bits` an element once `tensor` is there; done once the server has acknowledged it.
  Pending<> push(const Shard& shard, const Tensor& tensor, double bits, int priority);
  /// Asks for the shard; done once the server's answer is here.
  Pending<Tensor> pull(const Shard& shard, std::int64_t version);

  // For the servers: where their answers go, and the answers
  [[nodiscard]] Endpoint host() const { return host_; }
  [[nodiscard]] const std::vector<WireTime*>& wires() const {
    return node_ != nullptr ? node_->wires : wires_;
  }
  void push_acknowledged(Endpoint server, const CompletionRef& call);
  void push_done(const CompletionRef& call);  ///< the acknowledgement is here
  void pull_arrived(const CompletionRef& call, const Tensor& data);
  /// For the trace: the answer to a pull is here.
  void record_pull(const Shard& shard, double left_s, double bytes) const;

  /// Bytes and messages since the start.
  struct Sent {
    double bytes = 0;
    double messages = 0;
  };
  [[nodiscard]] const Sent& sent() const { return sent_; }

 private:
  void send(std::uint32_t server, double bytes, int priority, std::vector<Request> pushes);
  void ask(const Shard& shard, std::int64_t version, const CompletionRef& call);

  JobContext& job_;
  std::uint32_t rank_;
  Endpoint host_;
  NodeExchange* node_;  // null: it pushes and pulls by itself
  std::vector<WireTime*> wires_;
  std::vector<std::unique_ptr<Connection>> to_server_;
  Sent sent_;
};

}  // namespace paceline
