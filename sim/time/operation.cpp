#include "sim/time/operation.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <span>
#include <string>

namespace paceline {

const char* intern(std::string_view name) {
  static std::mutex mutex;  // runs on several threads share the names
  static std::set<std::string, std::less<>> names;
  const std::lock_guard lock(mutex);
  const auto found = names.find(name);
  return (found != names.end() ? found : names.emplace(name).first)->c_str();
}

OperationPool::~OperationPool() {
  // Operations of a run that was stopped may wait for one another: let go before any is destroyed.
  for (const auto& block : blocks_)
    for (TimedOperation& operation : std::span(block.get(), kBlock)) {
      operation.values_.reset();
      const auto after = std::move(operation.after);
      operation.after.clear();
    }
}

// Neighbours in a block go to neighbouring workers: their addresses are easy to foresee.
TimedOperation* OperationPool::grow() {
  blocks_.push_back(std::make_unique<TimedOperation[]>(kBlock));
  for (std::size_t i = kBlock; i-- > 0;) {
    TimedOperation& operation = blocks_.back()[i];
    operation.pool_ = this;
    operation.next_ = free_;
    free_ = &operation;
  }
  return free_;
}

Stream::Stream(Clock& clock, StreamListener& listener, std::uint32_t id)
    : clock_(clock), listener_(listener), id_(id) {
  notify = [](Completion::Waiter* self) { static_cast<Stream*>(self)->start_head(); };
}

inline void Stream::time_over() {
  if (gate_ == nullptr || !gate_->holds(*this)) finish_head();
}

inline void Stream::schedule_finish() {
  if (rate_ <= 0) return;  // stalled until the rate changes
  // At full rate the date is exactly start + work: closed forms hold to the last digit.
  clock_.at(
      rated_at_ + (rate_ == 1 ? remaining_ : remaining_ / rate_),
      [](void* self, std::uint64_t generation) {
        auto* stream = static_cast<Stream*>(self);
        if (stream->generation_ == generation) stream->time_over();
      },
      this, generation_);
}

inline void Stream::start() {
  running_ = true;
  TimedOperation& operation = *head_;
  operation.started = rated_at_ = clock_.now();
  remaining_ = operation.work;
  if (operation.values_) operation.values_->start();
  listener_.operation_started(*this, operation);
  schedule_finish();
}

void Stream::start_head() {
  auto& after = head_->after;
  while (!after.empty()) {
    if (!after.back()->done()) {
      after.back()->wait(*this);
      return;
    }
    after.pop_back();
  }
  start();
}

void Stream::enqueue(const boost::intrusive_ptr<TimedOperation>& operation) {
  intrusive_ptr_add_ref(operation.get());  // the stream's own, given back in finish_head
  if (head_ != nullptr) {
    tail_->next_ = operation.get();
    tail_ = operation.get();
    return;
  }
  head_ = tail_ = operation.get();
  if (operation->after.empty())
    start();
  else
    start_head();
}

void Stream::finish_head() {
  TimedOperation* operation = head_;
  ++generation_;
  head_ = operation->next_;
  running_ = false;
  listener_.operation_finished(*this, *operation);
  operation->complete();
  intrusive_ptr_release(static_cast<Completion*>(operation));
  if (head_ != nullptr && !running_) start_head();
}

void Stream::set_rate(double rate) {
  if (rate == rate_) return;
  if (running_) {
    remaining_ = std::max(0.0, remaining_ - (clock_.now() - rated_at_) * rate_);
    rated_at_ = clock_.now();
    ++generation_;
  }
  rate_ = rate;
  if (running_) schedule_finish();
}

}  // namespace paceline
