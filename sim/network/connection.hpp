#pragma once

#include <functional>
#include <vector>

#include "sim/network/communication.hpp"
#include "sim/network/transport.hpp"

namespace paceline {

/// Messages from one host to another, one at a time: the one with the highest priority first, then
/// in order.
class Connection {
 public:
  /// `wires` are told while a message is on the wire, and may grow until then.
  Connection(Clock& clock, Transport& transport, Endpoint from, Endpoint to,
             const std::vector<WireTime*>& wires)
      : clock_(clock), transport_(transport), from_(from), to_(to), wires_(wires) {}
  void send(double bytes, int priority, std::function<void()> arrived);

 private:
  struct Message {
    double bytes;
    int priority;
    std::uint64_t number;
    std::function<void()> arrived;
    bool operator<(const Message& other) const {  // the largest is sent first
      return priority != other.priority ? priority < other.priority : number > other.number;
    }
  };
  void next();

  Clock& clock_;
  Transport& transport_;
  Endpoint from_, to_;
  const std::vector<WireTime*>& wires_;
  std::vector<Message> queue_;  // a heap
  std::function<void()> arrived_;
  bool busy_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace paceline
