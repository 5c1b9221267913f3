#include "sim/network/flat/routes.hpp"

namespace paceline {

void RouteTable::put(Slot slot) {
  std::size_t i = place(slot.key);
  while (slots_[i].id != kNone) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = slot;
}

RouteTable::Id RouteTable::add(std::uint64_t key, Endpoint from, Endpoint to) {
  cluster_.route(from, to, route_);
  links_.insert(links_.end(), route_.links.begin(), route_.links.end());
  const auto id = static_cast<Id>(size());
  most_.push_back(route_.most);
  first_.push_back(static_cast<std::uint32_t>(links_.size()));
  if (2 * size() > slots_.size()) {
    const std::vector<Slot> old = std::move(slots_);
    shift_ = old.empty() ? 60 : shift_ - 1;
    slots_.assign(std::size_t{1} << (64 - shift_), Slot{});
    for (const Slot& slot : old)
      if (slot.id != kNone) put(slot);
  }
  put({key, id});
  return id;
}

}  // namespace paceline
