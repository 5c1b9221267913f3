#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "algorithms/worker.hpp"
#include "sim/time/clock.hpp"

namespace paceline {

class Stream;
class TimedOperation;

/// A part of the flat parameter vector (or any other tensor), in elements.
struct Range {
  std::int64_t elements = 0;
  std::int64_t offset = 0;
};

/// A lasting copy of an operation's name (there are few: schedules name theirs with literals).
const char* intern(std::string_view name);

/// Told when operations of a stream start and end: accounting, trace.
class StreamListener {
 public:
  virtual void operation_started(Stream& stream, TimedOperation& operation) = 0;
  virtual void operation_finished(Stream& stream, TimedOperation& operation) = 0;

 protected:
  ~StreamListener() = default;
};

/// Where time is real: an operation ends when its time is over *and* its values are there.
class StreamGate {
 public:
  /// The head of `stream` has had its time. True: it waits for its values, and finish_held() will be
  /// called.
  virtual bool holds(Stream& stream) = 0;

 protected:
  ~StreamGate() = default;
};

/// One operation on a stream that takes `work` seconds at rate 1. Recycled through a pool. A
/// thousand workers have one each under way: what time-only runs touch fills two cache lines.
class alignas(64) TimedOperation final : public Result<Tensor> {
 public:
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    if (!values_) return {device, elements(), offset_};
    return {device, elements(), offset_, {}, values_->result, values_->offset};
  }
  [[nodiscard]] const char* what() const override { return name; }
  /// The shape of its result; nothing unless said.
  void yields(Range range) {
    set_elements(range.elements);
    offset_ = range.offset;
  }

 private:
  friend class Stream;
  friend class OperationPool;
  void destroy() override;

  std::int64_t offset_ = 0;

 public:
  const char* name = "";  ///< interned or literal
  double work = 0;
  double started = 0;
  Activity activity = Activity::arithmetic;
  std::int32_t tag = -1;             ///< parameter tensor it belongs to, or -1
  std::vector<CompletionRef> after;  ///< must be done before the start

  struct Values {
    ValuesRef result;              ///< what it yields
    std::int64_t offset = 0;       ///< where in `result`, in elements
    std::function<void()> launch;  ///< posts its computation when it starts
    void start() {
      if (launch) std::exchange(launch, nullptr)();
    }
  };
  [[nodiscard]] bool has_values() const { return values_ != nullptr; }
  [[nodiscard]] Values& values() {  ///< not in time-only runs
    if (!values_) values_ = std::make_unique<Values>();
    return *values_;
  }

 private:
  std::unique_ptr<Values> values_;
  class OperationPool* pool_ = nullptr;
  TimedOperation* next_ = nullptr;  // in its stream, or in the pool
};

/// Operations are reused last-in-first-out, so a worker in steady state keeps touching the same
/// few.
class OperationPool {
 public:
  ~OperationPool();
  boost::intrusive_ptr<TimedOperation> make() {
    TimedOperation* operation = free_ != nullptr ? free_ : grow();
    free_ = operation->next_;
    ++live_;
    operation->next_ = nullptr;
    operation->tag = -1;
    return {operation};
  }
  [[nodiscard]] std::size_t live() const { return live_; }

 private:
  friend class TimedOperation;
  void recycle(TimedOperation* operation) {
    operation->rearm();
    if (operation->values_) operation->values_.reset();
    if (!operation->after.empty()) operation->after.clear();
    operation->next_ = free_;
    free_ = operation;
    --live_;
  }
  TimedOperation* grow();
  TimedOperation* free_ = nullptr;
  static constexpr std::size_t kBlock = 256;
  std::vector<std::unique_ptr<TimedOperation[]>> blocks_;
  std::size_t live_ = 0;
};

inline void TimedOperation::destroy() {
  pool_->recycle(this);
}

/// A FIFO of operations, one at a time, at a rate that may change while one runs (CoCoD's "a %",
/// stragglers).
class Stream final : Completion::Waiter {
 public:
  Stream(Clock& clock, StreamListener& listener, std::uint32_t id);

  void enqueue(const boost::intrusive_ptr<TimedOperation>& operation);
  [[nodiscard]] bool idle() const { return head_ == nullptr; }
  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] const TimedOperation* head() const { return head_; }
  [[nodiscard]] double rate() const { return rate_; }
  void set_rate(double rate);
  void set_gate(StreamGate* gate) { gate_ = gate; }  ///< null: simulated time alone
  void finish_held() { finish_head(); }              ///< what the gate holds
  [[nodiscard]] std::uint32_t id() const { return id_; }

 private:
  void start_head();  // once what it reads is there
  void start();
  void schedule_finish();
  void time_over();
  void finish_head();

  Clock& clock_;
  StreamListener& listener_;
  StreamGate* gate_ = nullptr;
  TimedOperation* head_ = nullptr;
  TimedOperation* tail_ = nullptr;
  std::uint64_t generation_ = 0;  // of the finish event: one that is older is stale
  double rate_ = 1;
  double remaining_ = 0;  // of the running operation, at rate 1, as of `rated_at_`
  double rated_at_ = 0;
  std::uint32_t id_;
  bool running_ = false;
};

}  // namespace paceline
