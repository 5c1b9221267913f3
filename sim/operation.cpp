#include "sim/operation.hpp"

#include <set>
#include <string>

namespace paceline {

const char* intern(std::string_view name) {
  static std::set<std::string, std::less<>> names;
  const auto found = names.find(name);
  return (found != names.end() ? found : names.emplace(name).first)->c_str();
}

OperationPool::~OperationPool() {
  // Operations of a run that was stopped may wait for one another: let go first, then delete.
  for (TimedOperation* operation : all_) {
    operation->launch = nullptr;
    const auto after = std::move(operation->after);
    operation->after.clear();
  }
  for (TimedOperation* operation : all_) delete operation;
}

TimedOperation* OperationPool::grow() {
  auto* operation = new TimedOperation;
  operation->pool_ = this;
  all_.push_back(operation);
  return operation;
}

Stream::Stream(Clock& clock, StreamListener& listener, std::uint32_t id)
    : clock_(clock), listener_(listener), id_(id) {
  notify = [](Completion::Waiter* self) { static_cast<Stream*>(self)->start_head(); };
}

void Stream::enqueue(const boost::intrusive_ptr<TimedOperation>& operation) {
  intrusive_ptr_add_ref(operation.get());  // the stream's own, given back in finish_head
  if (head_ == nullptr) {
    head_ = tail_ = operation.get();
    start_head();
  } else {
    tail_->next_ = operation.get();
    tail_ = operation.get();
  }
}

void Stream::start_head() {
  TimedOperation& operation = *head_;
  while (!operation.after.empty()) {
    if (!operation.after.back()->done()) {
      operation.after.back()->wait(*this);
      return;
    }
    operation.after.pop_back();
  }
  running_ = true;
  operation.started = clock_.now();
  operation.remaining_ = operation.work;
  operation.rated_at_ = operation.started;
  listener_.operation_started(*this, operation);
  schedule_finish();
}

void Stream::schedule_finish() {
  TimedOperation& operation = *head_;
  if (rate_ <= 0) return;  // stalled until the rate changes
  // At full rate the date is exactly start + work: closed forms hold to the last digit.
  operation.finish_ =
      operation.rated_at_ + (rate_ == 1 ? operation.remaining_ : operation.remaining_ / rate_);
  clock_.at(
      operation.finish_,
      [](void* self, std::uint64_t generation) {
        auto* stream = static_cast<Stream*>(self);
        if (stream->running_ && stream->generation_ == generation) stream->finish_head();
      },
      this, ++generation_);
}

void Stream::finish_head() {
  TimedOperation* operation = head_;
  ++generation_;
  head_ = operation->next_;
  operation->next_ = nullptr;
  if (head_ == nullptr) tail_ = nullptr;
  running_ = false;
  ++completed_;
  listener_.operation_finished(*this, *operation);
  operation->complete();
  intrusive_ptr_release(static_cast<Completion*>(operation));
  if (head_ != nullptr && !running_) start_head();
}

void Stream::set_rate(double rate) {
  if (rate == rate_) return;
  if (running_) {
    TimedOperation& operation = *head_;
    operation.remaining_ =
        std::max(0.0, operation.remaining_ - (clock_.now() - operation.rated_at_) * rate_);
    operation.rated_at_ = clock_.now();
    ++generation_;
  }
  rate_ = rate;
  if (running_) schedule_finish();
}

}  // namespace paceline
