#include "sim/time/continuations.hpp"

#include <utility>

namespace paceline {

Continuations::Later& Continuations::add(std::function<void()> then) {
  Later& later = open_.emplace_back();
  later.owner = this;
  later.self = std::prev(open_.end());
  later.then = std::move(then);
  return later;
}

void Continuations::call(Later& later) {
  const std::function<void()> then = std::move(later.then);
  later.owner->open_.erase(later.self);
  then();
}

void Continuations::when_done(const CompletionRef& completion, std::function<void()> then) {
  if (!completion || completion->done()) {
    then();
    return;
  }
  Later& later = add(std::move(then));
  later.notify = [](Completion::Waiter* self) { call(*static_cast<Later*>(self)); };
  completion->wait(later);
}

void* Continuations::keep(std::function<void()> then) {
  return &add(std::move(then));
}

void Continuations::fire(void* kept, std::uint64_t) {
  call(*static_cast<Later*>(kept));
}

}  // namespace paceline
