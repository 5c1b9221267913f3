#pragma once

#include <functional>
#include <list>

#include "algorithms/completion.hpp"
#include "sim/time/clock.hpp"

namespace paceline {

/// What a job does once something is over. Owns what still waits when a run is stopped.
class Continuations {
 public:
  /// Calls `then` once `completion` is done: at once if it is, or is null.
  void when_done(const CompletionRef& completion, std::function<void()> then);
  /// For events and messages: fire(keep(then), 0) calls `then`, once.
  [[nodiscard]] void* keep(std::function<void()> then);
  static void fire(void* kept, std::uint64_t);
  void clear() { open_.clear(); }  ///< none of them will be called

 private:
  struct Later : Completion::Waiter {
    Continuations* owner = nullptr;
    std::list<Later>::iterator self;
    std::function<void()> then;
  };
  Later& add(std::function<void()> then);
  static void call(Later& later);

  std::list<Later> open_;
};

}  // namespace paceline
