#include "sim/clock.hpp"

#include <algorithm>

namespace paceline {

void Clock::at(double date, Fire fire, void* self, std::uint64_t argument) {
  if (date < now_) date = now_;
  if (cache_[last_hit_].date != date) {
    last_hit_ = 0;
    while (last_hit_ < kCached && cache_[last_hit_].date != date) ++last_hit_;
    if (last_hit_ == kCached) last_hit_ = open_bucket(date);
  }
  buckets_[cache_[last_hit_].bucket].push_back({fire, self, argument});
}

// The new bucket's place in the cache.
std::size_t Clock::open_bucket(double date) {
  std::uint32_t bucket = 0;
  if (free_buckets_.empty()) {
    bucket = static_cast<std::uint32_t>(buckets_.size());
    buckets_.emplace_back();
  } else {
    bucket = free_buckets_.back();
    free_buckets_.pop_back();
  }
  heap_.push_back({date, sequence_++, bucket});
  std::push_heap(heap_.begin(), heap_.end());
  cache_[next_cached_] = {date, bucket};
  const std::size_t place = next_cached_;
  next_cached_ = (next_cached_ + 1) % kCached;
  return place;
}

void Clock::fire_next_bucket() {
  const HeapEntry entry = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  now_ = std::max(now_, entry.date);
  // Events may add events of this same date: to this bucket while it is cached, else to a younger
  // one.
  for (std::size_t i = 0; i < buckets_[entry.bucket].size() && !stopped_; ++i) {
    const Event event = buckets_[entry.bucket][i];
    ++fired_;
    event.fire(event.self, event.argument);
    drain_ready();
  }
  buckets_[entry.bucket].clear();
  for (Cached& cached : cache_)
    if (cached.bucket == entry.bucket) cached.date = -1;
  free_buckets_.push_back(entry.bucket);
}

void Clock::drain_ready() {
  while (ready_head_ < ready_.size() && !stopped_) {
    const std::coroutine_handle<> program = ready_[ready_head_++];
    program.resume();
  }
  ready_.clear();
  ready_head_ = 0;
}

void Clock::advance_to(double date) {
  while (!heap_.empty() && heap_.front().date <= date && !stopped_) fire_next_bucket();
  set_now(date);
}

void Clock::run() {
  drain_ready();
  while (!heap_.empty() && !stopped_) fire_next_bucket();
}

void Clock::program_failed(std::exception_ptr error) {
  if (!failure_) failure_ = std::move(error);
  stopped_ = true;
}

}  // namespace paceline
