#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace paceline {

/// When flows end, the first in front: a heap in which a flow's date can be changed.
class EndDates {
 public:
  using FlowId = std::uint32_t;
  struct End {
    double date;
    FlowId flow;
  };

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] const End& first() const { return heap_.front(); }

  void set(FlowId flow, double date) {
    if (flow >= places_.size()) places_.resize(flow + 1, kNone);
    if (places_[flow] == kNone) {
      places_[flow] = static_cast<std::uint32_t>(heap_.size());
      heap_.push_back({date, flow});
    }
    put(places_[flow], {date, flow});
  }
  void remove(FlowId flow) {
    if (flow >= places_.size() || places_[flow] == kNone) return;
    const std::uint32_t place = places_[flow];
    const End last = heap_.back();
    places_[flow] = kNone;
    heap_.pop_back();
    if (last.flow != flow) put(place, last);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::size_t kChildren = 4;

  void put(std::size_t place, const End& end) {
    while (place > 0 && end.date < heap_[(place - 1) / kChildren].date)
      place = fill(place, (place - 1) / kChildren);
    for (;;) {
      const std::size_t begin = kChildren * place + 1;
      const std::size_t past = std::min(begin + kChildren, heap_.size());
      std::size_t child = begin;
      for (std::size_t other = begin + 1; other < past; ++other)
        if (heap_[other].date < heap_[child].date) child = other;
      if (begin >= past || end.date <= heap_[child].date) break;
      place = fill(place, child);
    }
    heap_[place] = end;
    places_[end.flow] = static_cast<std::uint32_t>(place);
  }
  // What stands at `from` goes to `place`, which leaves `from` to be filled.
  std::size_t fill(std::size_t place, std::size_t from) {
    heap_[place] = heap_[from];
    places_[heap_[place].flow] = static_cast<std::uint32_t>(place);
    return from;
  }

  std::vector<End> heap_;
  std::vector<std::uint32_t> places_;  // by flow
};

}  // namespace paceline
