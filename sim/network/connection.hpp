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
  /// Told when the message is there, and the date at which it left.
  using Arrived = std::function<void(double left_s)>;
  void send(double bytes, int priority, Arrived arrived);

 private:
  struct Message {
    double bytes;
    int priority;
    std::uint64_t number;
    Arrived arrived;
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
  Arrived arrived_;
  double left_s_ = 0;  // of the message on the wire
  bool busy_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace paceline
