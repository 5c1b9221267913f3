#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "algorithms/worker.hpp"
#include "sim/network/connection.hpp"
#include "sim/server/calls.hpp"

namespace paceline {

/// One worker's messages to and from other workers. Messages between two of them queue on their connection; the order
/// of the calls, not of arrival, says which receive a message belongs to.
class PeerCalls {
 public:
  /// `gpu`: this worker's end; `wire` is told while a message of it is on the wire.
  PeerCalls(JobContext& job, std::uint32_t rank, Endpoint gpu, WireTime& wire);
  ~PeerCalls();

  Pending<> send(std::size_t to, const Tensor& tensor, double bits, int priority);
  Pending<Tensor> receive(std::size_t from, std::int64_t elements, std::int64_t offset);
  [[nodiscard]] const ServerCalls::Sent& sent() const { return sent_; }

 private:
  class Message;
  /// Of one other worker: how many messages each way have been called for, and those that one end has called for.
  struct Peer {
    std::uint64_t sent = 0, received = 0;
    std::map<std::uint64_t, boost::intrusive_ptr<Message>> open;  // to this worker, by number
    std::unique_ptr<Connection> connection;
  };
  Peer& peer(std::size_t rank);
  Message& message(std::size_t from, std::uint64_t number);
  void arrived(std::size_t from, std::uint64_t number, const Tensor& tensor);

  JobContext& job_;
  std::uint32_t rank_;
  Endpoint gpu_;
  std::vector<WireTime*> wires_;
  std::map<std::size_t, Peer> peers_;
  ServerCalls::Sent sent_;
};

}  // namespace paceline
