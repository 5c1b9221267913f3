#include "sim/network/connection.hpp"

#include <algorithm>

namespace paceline {

void Connection::send(double bytes, int priority, std::function<void()> arrived) {
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
  for (WireTime* wire : wires_) wire->began(clock_.now());
  transport_.send(
      from_, to_, message.bytes,
      [](void* self, std::uint64_t) {
        auto* connection = static_cast<Connection*>(self);
        for (WireTime* wire : connection->wires_) wire->ended(connection->clock_.now());
        connection->busy_ = false;
        const std::function<void()> arrived = std::move(connection->arrived_);
        if (!connection->queue_.empty()) connection->next();
        arrived();
      },
      this, 0);
}

}  // namespace paceline
