#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "algorithms/worker.hpp"
#include "sim/clock.hpp"

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

/// Told when operations of a stream start and end: accounting, trace, values.
class StreamListener {
 public:
  virtual void operation_started(Stream& stream, TimedOperation& operation) = 0;
  virtual void operation_finished(Stream& stream, TimedOperation& operation) = 0;

 protected:
  ~StreamListener() = default;
};

/// One operation on a stream that takes `work` seconds at rate 1. Recycled through a pool.
class TimedOperation final : public Result<Tensor> {
 public:
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, result.elements, result.offset, {}, result_values, result_values_offset};
  }
  [[nodiscard]] std::int64_t elements() const override { return result.elements; }
  [[nodiscard]] const char* what() const override { return name; }

  const char* name = "";  ///< interned or literal
  Activity activity = Activity::arithmetic;
  std::int32_t tag = -1;  ///< parameter tensor it belongs to, or -1
  double work = 0;
  double started = 0;
  Range result;             ///< shape of what it yields
  ValuesRef result_values;  ///< data of what it yields; null in time-only runs
  std::int64_t result_values_offset = 0;
  boost::container::small_vector<CompletionRef, 2> after;  ///< must be done before the start
  std::function<void()>
      launch;  ///< posts the work on values when it starts; empty in time-only runs

 private:
  friend class Stream;
  friend class OperationPool;
  void destroy() override;

  class OperationPool* pool_ = nullptr;
  TimedOperation* next_ = nullptr;  // in its stream, or in the pool
  double remaining_ = 0;            // at rate 1, as of `rated_at_`
  double rated_at_ = 0;
  double finish_ = 0;
};

/// Operations are reused last-in-first-out, so a worker in steady state keeps touching the same
/// few.
class OperationPool {
 public:
  ~OperationPool();
  boost::intrusive_ptr<TimedOperation> make() {
    TimedOperation* operation = free_;
    if (operation == nullptr)
      operation = grow();
    else
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
    if (operation->result_values) operation->result_values.reset();
    operation->result_values_offset = 0;
    if (!operation->after.empty()) operation->after.clear();
    if (operation->launch) operation->launch = nullptr;
    operation->next_ = free_;
    free_ = operation;
    --live_;
  }
  TimedOperation* grow();
  TimedOperation* free_ = nullptr;
  std::vector<TimedOperation*> all_;
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
  [[nodiscard]] std::uint32_t id() const { return id_; }

  // Totals for accounting and for the recognition of steady state
  [[nodiscard]] std::uint64_t completed() const { return completed_; }

 private:
  void start_head();
  void schedule_finish();
  void finish_head();

  Clock& clock_;
  StreamListener& listener_;
  TimedOperation* head_ = nullptr;
  TimedOperation* tail_ = nullptr;
  bool running_ = false;
  double rate_ = 1;
  std::uint32_t id_;
  std::uint64_t completed_ = 0;
  std::uint64_t generation_ = 0;  // of the finish event: re-rating makes older ones stale
};

}  // namespace paceline
