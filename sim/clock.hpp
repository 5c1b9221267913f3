#pragma once

#include <cstdint>
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

  [[nodiscard]] double now() const { return now_; }
  /// Calls fire(self, argument) at `date` (at once if that lies in the past by rounding). Not
  /// cancellable: give a generation number as argument and ignore stale ones.
  void at(double date, Fire fire, void* self, std::uint64_t argument = 0);
  void after(double delay, Fire fire, void* self, std::uint64_t argument = 0) {
    at(now_ + delay, fire, self, argument);
  }

  void resume_soon(std::coroutine_handle<> program) override { ready_.push_back(program); }
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
  [[nodiscard]] double next_date() const { return heap_.front().date; }  ///< precondition: not idle
  void advance_to(double date);  ///< fires all events up to and including `date`
  void drain_ready();
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
  struct HeapEntry {
    double date;
    std::uint64_t sequence;
    std::uint32_t bucket;
    bool operator<(const HeapEntry& other) const {  // reversed: std heaps keep the largest in front
      return date != other.date ? date > other.date : sequence > other.sequence;
    }
  };
  struct Cached {
    double date = -1;
    std::uint32_t bucket = 0;
  };
  static constexpr std::size_t kCached = 4;

  std::size_t open_bucket(double date);
  void fire_next_bucket();

  double now_ = 0;
  std::vector<std::vector<Event>> buckets_;
  std::vector<std::uint32_t> free_buckets_;
  std::vector<HeapEntry> heap_;
  Cached cache_[kCached];
  std::size_t next_cached_ = 0, last_hit_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t fired_ = 0;
  std::vector<std::coroutine_handle<>> ready_;
  std::size_t ready_head_ = 0;
  std::exception_ptr failure_;
  bool stopped_ = false;
};

}  // namespace paceline
