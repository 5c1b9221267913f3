#include "sim/network/connection.hpp"

#include <algorithm>

namespace paceline {

void Connection::send(double bytes, int priority, Arrived arrived) {
  queue_.push_back({bytes, priority, count_++, std::move(arrived)});
  std::push_heap(queue_.begin(), queue_.end());
  if (!busy_) next();
}

void Connection::next() {
  std::pop_heap(queue_.begin(), queue_.end());
  Message message = std::move(queue_.back());
  queue_.pop_back();
  arrived_ = std::move(message.arrived);
  busy_ = true;
  left_s_ = clock_.now();
  for (WireTime* wire : wires_) wire->began(clock_.now());
  transport_.send(
      from_, to_, message.bytes,
      [](void* self, std::uint64_t) {
        auto* connection = static_cast<Connection*>(self);
        for (WireTime* wire : connection->wires_) wire->ended(connection->clock_.now());
        connection->busy_ = false;
        const Arrived arrived = std::move(connection->arrived_);
        const double left_s = connection->left_s_;
        if (!connection->queue_.empty()) connection->next();
        arrived(left_s);
      },
      this, 0);
}

}  // namespace paceline
