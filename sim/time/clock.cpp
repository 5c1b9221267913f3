#include "sim/time/clock.hpp"

#include <algorithm>

namespace paceline {

// The bucket that is open for this date, if it is among the last few, or a new one behind it.
Clock::Bucket* Clock::bucket_of(double date) {
  for (Bucket* bucket : cache_)
    if (bucket->date == date) return bucket;
  Bucket* bucket = nullptr;
  if (free_.empty()) {
    bucket = &buckets_.emplace_back();
  } else {
    bucket = free_.back();
    free_.pop_back();
  }
  bucket->date = date;
  bucket->sequence = sequence_++;
  heap_.push_back(bucket);
  std::push_heap(heap_.begin(), heap_.end(), later);
  cache_[next_cached_] = bucket;
  next_cached_ = (next_cached_ + 1) % cache_.size();
  return bucket;
}

void Clock::fire_next_bucket() {
  Bucket& bucket = *heap_.front();
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
  now_ = std::max(now_, bucket.date);
  // Events may add events of this same date: to this bucket while it is cached, else to a younger
  // one.
  std::size_t i = 0;
  for (; i < bucket.events.size() && !stopped_; ++i) {
    const Event event = bucket.events[i];
    event.fire(event.self, event.argument);
    drain_ready();
  }
  fired_ += i;
  bucket.events.clear();
  bucket.date = none_.date;
  free_.push_back(&bucket);
}

void Clock::advance_to(double date) {
  while (!heap_.empty() && heap_.front()->date <= date && !stopped_) fire_next_bucket();
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
