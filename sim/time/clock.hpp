#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <vector>

#include "algorithms/completion.hpp"

namespace paceline {

/// The simulated clock: events in order of date, and in order of insertion at equal dates
/// (SimGrid's own same-date timers are not FIFO). Events of one date share a bucket, so that N
/// workers in lock-step cost one heap operation together. Also the executor of coroutines:
/// suspended programs are resumed after the event that released them, never inside it.
class Clock final : public Executor {
 public:
  using Fire = void (*)(void* self, std::uint64_t argument);

  Clock() { cache_.fill(&none_); }

  [[nodiscard]] double now() const { return now_; }
  /// Calls fire(self, argument) at `date` (at once if that lies in the past by rounding). Not
  /// cancellable: give a generation number as argument and ignore stale ones.
  void at(double date, Fire fire, void* self, std::uint64_t argument = 0) {
    if (date < now_) date = now_;
    if (recent_->date != date) recent_ = bucket_of(date);
    recent_->events.push_back({fire, self, argument});
  }
  void after(double delay, Fire fire, void* self, std::uint64_t argument = 0) {
    at(now_ + delay, fire, self, argument);
  }

  void program_failed(std::exception_ptr error) override;
  void stop() { stopped_ = true; }
  [[nodiscard]] bool stopped() const { return stopped_; }
  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  /// Runs everything there is. For use without an outside source of time.
  void run();

  // For an outside source of time (SimGrid): it moves the date, then lets everything due happen.
  [[nodiscard]] bool idle() const { return heap_.empty(); }
  [[nodiscard]] double next_date() const {
    return heap_.front()->date;
  }                              ///< precondition: not idle
  void advance_to(double date);  ///< fires all events up to and including `date`
  void drain_ready() {
    while (first_ready_ != nullptr && !stopped_) {
      const std::coroutine_handle<> program = first_ready_->handle;
      first_ready_ = first_ready_->next;
      program.resume();
    }
  }
  void set_now(double date) {
    if (date > now_) now_ = date;
  }

  [[nodiscard]] std::uint64_t fired() const { return fired_; }

 private:
  struct Event {
    Fire fire;
    void* self;
    std::uint64_t argument;
  };
  struct Bucket {
    double date = -1;  // no event has this one
    std::uint64_t sequence = 0;
    std::vector<Event> events;
  };
  static bool later(const Bucket* a, const Bucket* b) {  // std heaps keep the largest in front
    return a->date != b->date ? a->date > b->date : a->sequence > b->sequence;
  }

  Bucket* bucket_of(double date);
  void fire_next_bucket();

  double now_ = 0;
  Bucket none_;
  Bucket* recent_ = &none_;       // the last asked for
  std::array<Bucket*, 4> cache_;  // the last opened
  std::size_t next_cached_ = 0;
  std::vector<Bucket*> heap_, free_;
  std::deque<Bucket> buckets_;
  std::uint64_t sequence_ = 0;
  std::uint64_t fired_ = 0;
  std::exception_ptr failure_;
  bool stopped_ = false;
};

}  // namespace paceline
