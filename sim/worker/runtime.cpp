#include "sim/worker/runtime.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "base/error.hpp"
#include "sim/time/jitter.hpp"

namespace paceline {

// A sub-program of this worker: its frame, and the completion that its end tells.
struct WorkerRuntime::Child {
  class End final : public Completion {
   public:
    void finish() { complete(); }
    [[nodiscard]] const char* what() const override { return "sub-program"; }
  };
  Program program;
  boost::intrusive_ptr<End> end;
  WorkerRuntime* worker = nullptr;
};

namespace {

class Delay final : public Completion {
 public:
  void finish() { complete(); }
  [[nodiscard]] const char* what() const override { return "delay"; }
};

}  // namespace

WorkerRuntime::WorkerRuntime(JobContext& job, std::uint32_t rank)
    : job_(job),
      clock_(job.clock),
      compute_(clock_, *this, Recorder::compute),
      time_(job.wire),
      passes_(job.pass_times),
      hands_over_(job.spec.stack.compute_per_tensor.value > 0 ||
                  job.spec.stack.compute_per_collective.value > 0),
      rank_(rank),
      gpu_(job.spec.gpus[rank]),
      node_host_(job.cluster.host_of(job.cluster.node_of(gpu_))),
      speed_(job.cluster.device(gpu_).speed),
      copy_in_(clock_, *this, Recorder::copy_in),
      copy_out_(clock_, *this, Recorder::copy_out),
      host_(clock_, *this, Recorder::host),
      server_calls_(job, rank, node_host_, time_.messages),
      peer_calls_(job, rank, gpu_, time_.messages) {
  for (Stream* stream : {&compute_, &copy_in_, &copy_out_, &host_}) stream->set_gate(job.gate);
  if (job.spec.slow_while_sending > 0) time_.messages.listen(this);
  ValuesRef initial;
  if (job.graph != nullptr) {
    values_ = std::make_unique<WorkerValues>(*job.graph, *job.metrics, *job.spec.values, rank,
                                             model(), job.spec.steps, job.spec.accumulation);
    initial = job.initial;
  }
  parameters_ = Tensor(this, model().elements, 0, {}, initial);
  passes_.begin_step(sample_step_factor());
  update_rate();
}

WorkerRuntime::~WorkerRuntime() = default;

void WorkerRuntime::start() {
  time_.begin(clock_.now());
  first_ = last_ = {0, clock_.now()};
  last_border_s_ = clock_.now();
  program_ = job_.spec.schedule.worker(*this);
  auto& promise = program_.handle().promise();
  promise.executor = &clock_;
  promise.device = this;
  promise.context = this;
  promise.on_end = [](Program::promise_type& ended) {
    static_cast<WorkerRuntime*>(ended.context)->program_ended();
  };
  clock_.resume_soon(promise);
}

void WorkerRuntime::stop() {
  children_.clear();
  program_ = Program();
}

Pending<> WorkerRuntime::spawn(Program program) {
  // Frames of ended children are freed here, not inside their own last breath.
  std::erase_if(children_, [](const std::unique_ptr<Child>& child) { return child->end->done(); });
  auto child = std::make_unique<Child>();
  child->program = std::move(program);
  child->end = new Child::End;
  child->worker = this;
  auto& promise = child->program.handle().promise();
  promise.executor = &clock_;
  promise.device = this;
  promise.context = child.get();
  promise.on_end = [](Program::promise_type& ended) {
    auto* finished = static_cast<Child*>(ended.context);
    finished->end->finish();
    finished->worker->maybe_ended();
  };
  clock_.resume_soon(promise);
  Pending<> end{CompletionRef(child->end)};
  children_.push_back(std::move(child));
  return end;
}

Pending<> WorkerRuntime::delay(double seconds) {
  const boost::intrusive_ptr<Delay> delay(new Delay);
  clock_.after(seconds, Continuations::fire, job_.later.keep([delay] { delay->finish(); }));
  return Pending<>(CompletionRef(delay));
}

void WorkerRuntime::program_ended() {
  program_done_ = true;
  maybe_ended();
}

// A worker has ended when its programs have and its GPU has nothing left to do.
void WorkerRuntime::maybe_ended() {
  if (!program_done_ || ended_ || !compute_.idle()) return;
  for (const auto& child : children_)
    if (!child->end->done()) return;
  ended_ = true;
  end_date_ = clock_.now();
  time_.busy_again(end_date_);
  job_.observer.worker_ended();
}

// ---- iterations
// -----------------------------------------------------------------------------------------------

double WorkerRuntime::weight() const {
  return job_.spec.weights[rank_];
}

double WorkerRuntime::sample_step_factor() {
  const JobSpec& spec = job_.spec;
  const double share = spec.batch_share.empty() ? 1.0 : spec.batch_share[rank_];
  return share * jitter_factor(spec.jitter, spec.p25_over_median, spec.p75_over_median, spec.seed,
                               rank_, static_cast<std::uint64_t>(steps_passed_));
}

void WorkerRuntime::step_done() {
  if (job_.recorder != nullptr)
    job_.recorder->span(gpu_, Recorder::steps, fmt::format("step {}", steps_passed_), "step",
                        last_border_s_, clock_.now());
  last_border_s_ = clock_.now();
  ++steps_passed_;
  if (communicated_) ++rounds_;
  communicated_ = false;
  const bool jitter = job_.spec.jitter.distribution != Jitter::Distribution::none;
  passes_.begin_step(jitter ? sample_step_factor() : passes_.factor());
  if (steps_passed_ <= job_.log.measured_until) last_ = {steps_passed_, clock_.now()};
  if (steps_passed_ == job_.log.measured_from) first_ = last_;
  job_.observer.step_passed(*this, steps_passed_);
}

WorkerRuntime::Totals WorkerRuntime::totals() {
  return {steps_passed_, rounds_, clock_.now(), account_now(), sent()};
}

double WorkerRuntime::take_fingerprint(double origin) {
  const double relative = ends_sum_ - static_cast<double>(ends_count_) * origin;
  ends_sum_ = 0;
  ends_count_ = 0;
  return relative;
}

// ---- streams
// -----------------------------------------------------------------------------------------------

boost::intrusive_ptr<TimedOperation> WorkerRuntime::enqueue(Stream& stream, const char* name,
                                                            Activity activity, std::int32_t tag,
                                                            double seconds, Range result,
                                                            std::span<const Tensor> reads,
                                                            std::function<void()> launch) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool.make();
  operation->name = name;
  operation->activity = activity;
  operation->tag = tag;
  operation->work = seconds;
  operation->yields(result);
  if (launch) operation->values().launch = std::move(launch);
  for (const Tensor& read : reads)
    if (!read.ready()) operation->after.push_back(read.producer());
  stream.enqueue(operation);
  return operation;
}

Tensor WorkerRuntime::result_of(const boost::intrusive_ptr<TimedOperation>& operation,
                                std::int64_t elements, std::int64_t offset, ValuesRef values) {
  return {this, elements, offset, operation->done() ? CompletionRef() : CompletionRef(operation),
          std::move(values)};
}

BufferRef WorkerRuntime::new_buffer(std::int64_t elements) const {
  return values_ ? BufferRef(new Buffer(*job_.graph, static_cast<std::size_t>(elements)))
                 : BufferRef();
}

Account WorkerRuntime::account_now() {
  const double now = clock_.now();
  if (!compute_.running()) time_.busy_again(now);
  if (!compute_.running()) return time_.booked();
  return time_.booked_with(compute_.head()->activity, compute_.head()->started, now);
}

void WorkerRuntime::operation_started(Stream& stream, TimedOperation& operation) {
  if (&stream == &compute_)
    time_.busy_again(operation.started);
  else
    time_.local.began(operation.started);
}

void WorkerRuntime::operation_finished(Stream& stream, TimedOperation& operation) {
  const double now = clock_.now();
  ends_sum_ += now;
  ++ends_count_;
  if (&stream == &compute_) {
    if (&operation == last_backward_) last_backward_ = nullptr;
    time_.idle_again(operation.activity, operation.started, now);
    if (program_done_) maybe_ended();
  } else {
    time_.local.ended(now);
    if (&stream == &host_) time_.add(Activity::host, now - operation.started);
  }
  if (job_.recorder != nullptr) record(stream, operation);
}

void WorkerRuntime::record(const Stream& stream, const TimedOperation& operation) {
  if (job_.layers != nullptr && rank_ == 0 && &stream == &compute_)
    job_.layers->operations.push_back(
        {operation.activity, operation.started, clock_.now(), operation.work});
  std::string name = operation.name;
  if (operation.tag >= 0)
    name += " " + model().tensors[static_cast<std::size_t>(operation.tag)].name;
  job_.recorder->span(gpu_, stream.id(), std::move(name), to_string(operation.activity),
                      operation.started, clock_.now());
}

void WorkerRuntime::wire_changed(bool on) {
  on_wire_ += on ? 1 : -1;
  update_rate();
}

void WorkerRuntime::set_straggling(double slowdown) {
  straggling_ = slowdown;
  update_rate();
}

void WorkerRuntime::update_rate() {
  compute_.set_rate(speed_ / straggling_ * (on_wire_ > 0 ? 1 - job_.spec.slow_while_sending : 1));
}

std::string WorkerRuntime::describe_waiting() const {
  if (program_done_) return "";
  if (const TimedOperation* head = compute_.head(); head != nullptr && !compute_.running())
    return fmt::format("worker {}: '{}' on its compute stream waits for '{}'", rank_, head->name,
                       head->after.empty() ? "?" : head->after.back()->what());
  return fmt::format("worker {}: its program waits in step {}", rank_, steps_passed_);
}

}  // namespace paceline
