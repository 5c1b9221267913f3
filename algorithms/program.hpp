#pragma once

#include <utility>
#include <vector>

#include "algorithms/completion.hpp"

// Coroutines in cluster time. House rules (g++ 12 miscompiles other forms; tests/lint checks them):
// one co_await per statement, never inside a condition or a ?:, no braces, lambdas or initialiser
// lists in a statement that awaits (an aggregate that is built there is destroyed twice: name it
// first, or give it a constructor), awaitables have constructors, options by value.
namespace paceline {

/// What a schedule is: a coroutine that runs one worker (or one server, or a part of either).
/// Started lazily by the runtime or by Worker::spawn; an exception ends the whole run.
class [[nodiscard]] Program {
 public:
  struct promise_type : Suspended {
    Executor* executor = nullptr;
    TensorDevice* device = nullptr;           // whose program this is
    void (*on_end)(promise_type&) = nullptr;  // told when the program returns
    void* context = nullptr;                  // of on_end

    Program get_return_object() {
      const auto self = std::coroutine_handle<promise_type>::from_promise(*this);
      handle = self;
      return Program(self);
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Last {
        bool await_ready() noexcept { return false; }
        void await_suspend(std::coroutine_handle<promise_type> handle) noexcept {
          promise_type& promise = handle.promise();
          if (promise.on_end != nullptr) promise.on_end(promise);
        }
        void await_resume() noexcept {}
      };
      return Last{};
    }
    void return_void() {}
    void unhandled_exception() { executor->program_failed(std::current_exception()); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Program() = default;
  explicit Program(Handle handle) : handle_(handle) {}
  Program(Program&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Program& operator=(Program&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Program() {
    if (handle_) handle_.destroy();
  }

  [[nodiscard]] Handle handle() const { return handle_; }

 private:
  Handle handle_;
};

namespace detail {
[[noreturn]] void no_value();
}

/// A value (or just the end) of something under way. `co_await` waits in cluster time; a dropped
/// Pending still runs. Copies refer to the same operation.
template <class T = void>
class Pending {
 public:
  Pending() = default;
  explicit Pending(boost::intrusive_ptr<Result<T>> result) : result_(std::move(result)) {}

  [[nodiscard]] bool done() const { return !result_ || result_->done(); }
  /// Precondition: done. Throws std::logic_error for a Pending of nothing, which has no value.
  [[nodiscard]] T get(TensorDevice& device) const { return known().value(&device); }
  [[nodiscard]] std::int64_t elements() const { return known().elements(); }  ///< known at once
  [[nodiscard]] Result<T>* completion() const { return result_.get(); }

 private:
  [[nodiscard]] const Result<T>& known() const {
    if (!result_) [[unlikely]]
      detail::no_value();
    return *result_;
  }

  boost::intrusive_ptr<Result<T>> result_;
};

template <>
class Pending<void> {
 public:
  Pending() = default;
  explicit Pending(CompletionRef completion) : completion_(std::move(completion)) {}
  template <class T>
  Pending(const Pending<T>& other)
      : completion_(other.completion()) {}  // NOLINT: any Pending is one

  [[nodiscard]] bool done() const { return !completion_ || completion_->done(); }
  void get(TensorDevice&) const {}
  [[nodiscard]] Completion* completion() const { return completion_.get(); }

 private:
  CompletionRef completion_;
};

namespace detail {

template <class T>
class PendingAwaiter : Completion::Waiter {
 public:
  explicit PendingAwaiter(Pending<T> pending) : pending_(std::move(pending)) {}
  [[nodiscard]] bool await_ready() const { return false; }  // the device comes with the handle
  bool await_suspend(Program::Handle program) {
    program_ = program;
    if (pending_.done()) return false;
    notify = [](Completion::Waiter* self) {
      const auto* awaiter = static_cast<PendingAwaiter*>(self);
      auto& suspended = awaiter->program_.promise();
      suspended.executor->resume_soon(suspended);
    };
    pending_.completion()->wait(*this);
    return true;
  }
  T await_resume() const { return pending_.get(*program_.promise().device); }

 private:
  Pending<T> pending_;
  Program::Handle program_;
};

template <class T>
class AllAwaiter : Completion::Waiter {
 public:
  explicit AllAwaiter(const std::vector<Pending<T>>& pendings)
      : pendings_(&pendings), open_(pendings.size()) {}
  [[nodiscard]] bool await_ready() {
    // From the back: on a FIFO stream the last one finishes last, and one wait is enough.
    while (open_ > 0 && (*pendings_)[open_ - 1].done()) --open_;
    return open_ == 0;
  }
  void await_suspend(Program::Handle program) {
    program_ = program;
    notify = [](Completion::Waiter* self) { static_cast<AllAwaiter*>(self)->next(); };
    (*pendings_)[open_ - 1].completion()->wait(*this);
  }
  void await_resume() const {}

 private:
  void next() {
    if (await_ready())
      program_.promise().executor->resume_soon(program_.promise());
    else
      (*pendings_)[open_ - 1].completion()->wait(*this);
  }

  const std::vector<Pending<T>>* pendings_;
  std::size_t open_;
  Program::Handle program_;
};

}  // namespace detail

template <class T>
detail::PendingAwaiter<T> operator co_await(Pending<T> pending) {
  return detail::PendingAwaiter<T>(std::move(pending));
}

/// `co_await all(pendings)`: until every one is done. `pendings` must outlive the wait (name it).
template <class T>
detail::AllAwaiter<T> all(const std::vector<Pending<T>>& pendings) {
  return detail::AllAwaiter<T>(pendings);
}
template <class T>
detail::AllAwaiter<T> all(const std::vector<Pending<T>>&&) = delete;

}  // namespace paceline
