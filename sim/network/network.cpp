#include "sim/network/network.hpp"

namespace paceline {

void FluidNetwork::Set::add(Endpoint from, Endpoint to, double share, const Route& route) {
  links_.insert(links_.end(), route.links.begin(), route.links.end());
  transfers_.push_back({from, to, share, route.most, static_cast<std::uint32_t>(links_.size())});
}

FluidNetwork::Together* FluidNetwork::together(std::size_t open, Clock::Fire fire, void* self,
                                               std::uint64_t argument) {
  if (free_together_.empty()) free_together_.push_back(&together_.emplace_back());
  Together* record = free_together_.back();
  free_together_.pop_back();
  *record = {open, fire, self, argument, this};
  return record;
}

void FluidNetwork::one_arrived(void* together, std::uint64_t) {
  auto* record = static_cast<Together*>(together);
  if (--record->open > 0) return;
  record->network->free_together_.push_back(record);
  record->fire(record->self, record->argument);
}

void FluidNetwork::transfer_all(const Set& set, double bytes, Clock::Fire fire, void* self,
                                std::uint64_t argument) {
  Together* record = together(set.transfers().size(), fire, self, argument);
  for (const Set::Transfer& t : set.transfers())
    transfer(t.from, t.to, t.share * bytes, one_arrived, record, 0);
}

}  // namespace paceline
