#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <coroutine>
#include <cstdint>
#include <exception>

namespace paceline {

/// A suspended program; lives in its own frame.
struct Suspended {
  std::coroutine_handle<> handle;
  Suspended* next = nullptr;
};

/// Where suspended programs go when what they wait for is done: a queue that the clock drains.
/// Never resumes inline (long chains would overflow the stack).
class Executor {
 public:
  void resume_soon(Suspended& program) {
    program.next = nullptr;
    (first_ready_ == nullptr ? first_ready_ : last_ready_->next) = &program;
    last_ready_ = &program;
  }
  virtual void program_failed(std::exception_ptr error) = 0;

 protected:
  ~Executor() = default;
  Suspended* first_ready_ = nullptr;
  Suspended* last_ready_ = nullptr;
};

/// Something that finishes at one date in cluster time: an operation, a collective, a program.
/// Reference counted without atomics: the simulated clock is single-threaded.
class Completion {
 public:
  /// One entry in the list of who waits; lives in the waiter's own memory.
  struct Waiter {
    Waiter* next = nullptr;
    void (*notify)(Waiter* self) = nullptr;
  };

  explicit Completion(std::int64_t elements = 0) : elements_(elements) {}
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  [[nodiscard]] bool done() const { return done_; }
  void wait(Waiter& waiter) {  ///< `waiter` is told once; precondition: not done
    waiter.next = nullptr;
    *last_ = &waiter;
    last_ = &waiter.next;
  }
  /// For errors: "all-reduce of layer4.2.conv3.weight on worker 3".
  [[nodiscard]] virtual const char* what() const { return "operation"; }
  /// Size of the result, known from the start.
  [[nodiscard]] std::int64_t elements() const { return elements_; }

 protected:
  virtual ~Completion() = default;
  virtual void destroy() { delete this; }
  /// Marks as done and tells the waiters in the order they came.
  void complete() {
    done_ = true;
    Waiter* waiter = first_;
    first_ = nullptr;
    last_ = &first_;
    while (waiter != nullptr) {
      Waiter* next = waiter->next;
      waiter->notify(waiter);
      waiter = next;
    }
  }
  /// Ready for another use, by pools that recycle their completions.
  void rearm() { done_ = false; }
  void set_elements(std::int64_t elements) { elements_ = elements; }
  [[nodiscard]] std::uint32_t references() const { return references_; }

 private:
  friend void intrusive_ptr_add_ref(Completion* c) { ++c->references_; }
  friend void intrusive_ptr_release(Completion* c) {
    if (--c->references_ == 0) c->destroy();
  }

  Waiter* first_ = nullptr;
  Waiter** last_ = &first_;
  std::int64_t elements_;
  std::uint32_t references_ = 0;
  bool done_ = false;
};

using CompletionRef = boost::intrusive_ptr<Completion>;

class TensorDevice;

/// A completion that carries a value of type T: for collectives the same one for every worker, so
/// the asking worker's device comes in with the call.
template <class T>
class Result : public Completion {
 public:
  using Completion::Completion;
  /// Its shape is right from the start; its data are there once it is done.
  [[nodiscard]] virtual T value(TensorDevice* device) const = 0;
};

}  // namespace paceline
