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
  /// `wire` is told while a message is on the wire.
  Connection(Clock& clock, Transport& transport, Endpoint from, Endpoint to, WireTime& wire)
      : clock_(clock), transport_(transport), from_(from), to_(to), wire_(wire) {}
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
  WireTime& wire_;
  std::vector<Message> queue_;  // a heap
  std::function<void()> arrived_;
  bool busy_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace paceline
