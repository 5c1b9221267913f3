#include "sim/worker_runtime.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "base/error.hpp"
#include "sim/jitter.hpp"
#include "sim/selectors.hpp"
#include "sim/server_runtime.hpp"

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
  static Pending<> start(Clock& clock, double seconds) {
    boost::intrusive_ptr<Delay> delay(new Delay);
    intrusive_ptr_add_ref(static_cast<Completion*>(delay.get()));  // the clock's
    clock.after(
        seconds,
        [](void* self, std::uint64_t) {
          auto* ended = static_cast<Delay*>(self);
          ended->complete();
          intrusive_ptr_release(static_cast<Completion*>(ended));
        },
        delay.get());
    return Pending<>(CompletionRef(delay));
  }
  [[nodiscard]] const char* what() const override { return "delay"; }
};

}  // namespace

WorkerRuntime::WorkerRuntime(Job& job, std::uint32_t rank)
    : job_(job),
      clock_(job.clock_),
      rank_(rank),
      gpu_(job.spec().gpus[rank]),
      node_host_(job.cluster_.host_of(job.cluster_.node_of(gpu_))),
      speed_(job.cluster_.device(gpu_).speed),
      compute_(clock_, *this, kCompute),
      copy_in_(clock_, *this, kCopyIn),
      copy_out_(clock_, *this, kCopyOut),
      host_(clock_, *this, kHost) {
  for (const Endpoint server : job.spec().servers)
    to_server_.push_back(
        std::make_unique<Connection>(clock_, job.transport_, node_host_, server, own_wire_));
  if (job.spec().slow_while_sending > 0) own_wire_.listen(this);
  ValuesRef initial;
  if (job.graph_ != nullptr) {
    values_ = std::make_unique<WorkerValues>(*job.graph_, *job.spec().values, rank, model(),
                                             job.spec().steps, job.spec().accumulation);
    initial = job.initial_;
  }
  parameters_ = Tensor(this, model().elements, 0, {}, initial);
  step_factor_ = sample_step_factor();
  update_rate();
}

WorkerRuntime::~WorkerRuntime() = default;

void WorkerRuntime::start() {
  program_ = job_.spec().schedule.worker(*this);
  auto& promise = program_.handle().promise();
  promise.executor = &clock_;
  promise.device = this;
  promise.context = this;
  promise.on_end = [](Program::promise_type& ended) {
    static_cast<WorkerRuntime*>(ended.context)->program_ended();
  };
  clock_.resume_soon(program_.handle());
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
  clock_.resume_soon(child->program.handle());
  Pending<> end{CompletionRef(child->end)};
  children_.push_back(std::move(child));
  return end;
}

Pending<> WorkerRuntime::delay(double seconds) {
  return Delay::start(clock_, seconds);
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
  account_gap(end_date_);
  job_.worker_ended();
}

// ---- iterations
// -----------------------------------------------------------------------------------------------

double WorkerRuntime::weight() const {
  const auto& weights = job_.spec().weights;
  return weights.empty() ? 1.0 / static_cast<double>(world_size()) : weights[rank_];
}

double WorkerRuntime::sample_step_factor() {
  const JobSpec& spec = job_.spec();
  const double share = spec.batch_share.empty() ? 1.0 : spec.batch_share[rank_];
  return share * jitter_factor(spec.jitter, spec.p25_over_median, spec.p75_over_median, spec.seed,
                               rank_, static_cast<std::uint64_t>(steps_passed_));
}

void WorkerRuntime::step_done() {
  ++steps_passed_;
  last_step_date_ = clock_.now();
  if (communicated_) ++rounds_;
  communicated_ = false;
  forward_position_ = backward_position_ = 0;
  if (job_.spec().jitter.distribution != Jitter::Distribution::none)
    step_factor_ = sample_step_factor();
  if (steps_passed_ == job_.log_.measured_from) at_first_ = totals();
  if (steps_passed_ == job_.log_.measured_until) {
    at_last_ = totals();
    passed_last_ = true;
  }
  job_.step_passed(*this, steps_passed_);
}

WorkerRuntime::Measured WorkerRuntime::totals() {
  return {steps_passed_, last_step_date_, account_now(), sent_};
}

WorkerRuntime::Measured WorkerRuntime::measured() {
  Measured m = passed_last_ ? at_last_ : totals();
  m.steps -= at_first_.steps;
  m.seconds -= at_first_.seconds;
  m.account -= at_first_.account;
  m.sent.bytes -= at_first_.sent.bytes;
  m.sent.messages -= at_first_.sent.messages;
  return m;
}

double WorkerRuntime::take_fingerprint(double origin) {
  const double relative = fingerprint_ - static_cast<double>(fingerprint_count_) * origin;
  fingerprint_ = 0;
  fingerprint_count_ = 0;
  return relative;
}

// ---- streams and accounting
// -----------------------------------------------------------------------------------

boost::intrusive_ptr<TimedOperation> WorkerRuntime::enqueue(
    Stream& stream, const char* name, Activity activity, std::int32_t tag, double seconds,
    Range result, std::span<const Tensor> reads, std::function<void()> launch, ValuesRef values,
    std::int64_t values_offset) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool_.make();
  operation->name = name;
  operation->activity = activity;
  operation->tag = tag;
  operation->work = seconds;
  operation->result = result;
  operation->result_values = std::move(values);
  operation->result_values_offset = values_offset;
  operation->launch = std::move(launch);
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
  return values_ ? BufferRef(new Buffer(static_cast<std::size_t>(elements))) : BufferRef();
}

double WorkerRuntime::wire_total(double now) const {
  return job_.wire_.total(now) + own_wire_.total(now);
}

void WorkerRuntime::account_gap(double now) {
  const double gap = now - idle_since_;
  if (gap == 0) return;
  if (gap > 0) {
    const double wire = std::min(gap, wire_total(now) - wire_at_idle_);
    const double copies = std::min(gap - wire, local_.total(now) - local_at_idle_);
    account_.exposed_wire += wire;
    account_.exposed_copy += copies;
    account_.waiting += gap - wire - copies;
  }
  idle_since_ = now;
  wire_at_idle_ = wire_total(now);
  local_at_idle_ = local_.total(now);
}

Account WorkerRuntime::account_now() {
  const double now = clock_.now();
  if (!compute_.running()) account_gap(now);
  Account account = account_;
  if (compute_.running())  // the part of the running operation that has gone by
    account.busy[static_cast<int>(compute_.head()->activity)] += now - compute_.head()->started;
  return account;
}

void WorkerRuntime::operation_started(Stream& stream, TimedOperation& operation) {
  if (operation.launch) {
    const std::function<void()> launch = std::move(operation.launch);
    operation.launch = nullptr;
    launch();
  }
  if (&stream == &compute_)
    account_gap(clock_.now());
  else
    local_.began(clock_.now());
}

void WorkerRuntime::operation_finished(Stream& stream, TimedOperation& operation) {
  if (&operation == last_backward_) last_backward_ = nullptr;
  const double now = clock_.now();
  fingerprint_ += now;
  ++fingerprint_count_;
  if (&stream == &compute_) {
    account_.busy[static_cast<int>(operation.activity)] += now - operation.started;
    idle_since_ = now;
    wire_at_idle_ = wire_total(now);
    local_at_idle_ = local_.total(now);
    if (program_done_) maybe_ended();
  } else {
    local_.ended(now);
    if (&stream == &host_)
      account_.busy[static_cast<int>(Activity::host)] += now - operation.started;
  }
  if (job_.recorder_ != nullptr) {
    std::string name = operation.name;
    if (operation.tag >= 0)
      name += " " + model().tensors[static_cast<std::size_t>(operation.tag)].name;
    job_.recorder_->span(gpu_, stream.id(), std::move(name), to_string(operation.activity),
                         operation.started, now);
  }
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
  compute_.set_rate(speed_ / straggling_ * (on_wire_ > 0 ? 1 - job_.spec().slow_while_sending : 1));
}

std::string WorkerRuntime::describe_waiting() const {
  if (program_done_) return "";
  if (const TimedOperation* head = compute_.head(); head != nullptr && !compute_.running())
    return fmt::format("worker {}: '{}' on its compute stream waits for '{}'", rank_, head->name,
                       head->after.empty() ? "?" : head->after.back()->what());
  return fmt::format("worker {}: its program waits in step {}", rank_, steps_passed_);
}

// ---- training
// -------------------------------------------------------------------------------------------------

Pending<> WorkerRuntime::forward() {
  return forward_until(static_cast<std::uint32_t>(model().tensors.size()));
}

Pending<> WorkerRuntime::forward(TensorId through) {
  return forward_until(through + 1);
}

Pending<> WorkerRuntime::forward_until(std::uint32_t position) {
  if (position < forward_position_) position = forward_position_;
  double seconds =
      (job_.forward_sum_[position] - job_.forward_sum_[forward_position_]) * step_factor_;
  if (forward_position_ == 0 && position > 0) {
    const JobSpec& spec = job_.spec();
    // Earlier micro-batches of an accumulated step yield no gradient anybody waits for: they run in
    // one piece.
    if (spec.accumulation > 1)
      seconds += static_cast<double>(spec.accumulation - 1) *
                 (job_.forward_sum_.back() + job_.backward_sum_.back()) * step_factor_;
    seconds += spec.step_overhead_s;
  }
  const std::int32_t tag =
      position - forward_position_ == 1 ? static_cast<std::int32_t>(forward_position_) : -1;
  std::function<void()> launch;
  if (values_ && position > forward_position_)
    launch = [this, from = forward_position_, position, step = steps_passed_] {
      values_->forward(from, position, step, parameters_);
    };
  forward_position_ = position;
  const Tensor weights(this, 0, 0, parameters_.producer());  // waits for whatever writes them
  return Pending<>(CompletionRef(enqueue(compute_, "forward", Activity::forward, tag, seconds, {},
                                         std::span(&weights, 1), std::move(launch))));
}

Pending<Tensor> WorkerRuntime::backward() {
  return backward_until(static_cast<std::uint32_t>(model().tensors.size()), {model().elements, 0});
}

Pending<Tensor> WorkerRuntime::backward(TensorId down_to) {
  const ModelShape::Item& item = model().tensors[down_to];
  return backward_until(job_.backward_position_[down_to] + 1, {item.elements, item.offset});
}

Pending<Tensor> WorkerRuntime::backward_until(std::uint32_t position, Range result) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool_.make();
  operation->name = "backward";
  operation->activity = Activity::backward;
  operation->result = result;
  operation->work = 0;
  if (values_) {
    if (backward_position_ == 0) {
      gradient_.reset();  // it may be the one that is free again
      gradient_ = values_->fresh_gradient();
    }
    operation->result_values = gradient_;
    operation->result_values_offset = result.offset;
  }
  // A gradient that is already on its way takes no time of its own: the stream is in order.
  if (position > backward_position_) {
    operation->work =
        (job_.backward_sum_[position] - job_.backward_sum_[backward_position_]) * step_factor_;
    if (position - backward_position_ == 1)
      operation->tag = static_cast<std::int32_t>(model().backward_order[backward_position_]);
    if (values_)
      operation->launch = [this, from = backward_position_, position, gradient = gradient_] {
        values_->backward(from, position, parameters_, *gradient);
      };
    backward_position_ = position;
  }
  compute_.enqueue(operation);
  if (!operation->done()) last_backward_ = operation.get();
  return Pending<Tensor>(std::move(operation));
}

Tensor WorkerRuntime::gradient(TensorRange range) {
  const std::int64_t offset = model().tensors[range.first].offset;
  return {this,  model().range_elements(range), offset, CompletionRef(last_backward_), gradient_,
          offset};
}

Pending<> WorkerRuntime::local_step(Step) {
  forward();
  const Pending<Tensor> gradient = backward();
  return update(Tensor(this, model().elements, 0, CompletionRef(gradient.completion()), gradient_));
}

Pending<> WorkerRuntime::update(const Tensor& gradient) {
  return update(std::vector<Tensor>{gradient});
}

Pending<> WorkerRuntime::update(const std::vector<Tensor>& gradients) {
  std::int64_t elements = 0;
  for (const Tensor& gradient : gradients) elements += gradient.elements();
  std::function<void()> launch;
  if (values_)
    launch = [this, gradients, rate = learning_rate(steps_passed_)] {
      values_->update(gradients, rate, parameters_);
    };
  return enqueue_update(elements, gradients, std::move(launch));
}

Pending<> WorkerRuntime::update(const std::vector<Pending<Tensor>>& gradients,
                                std::int64_t of_step) {
  if (of_step == kThisStep) of_step = steps_passed_;
  std::int64_t elements = 0;
  std::vector<Tensor> waits;
  for (const Pending<Tensor>& gradient : gradients) {
    elements += gradient.elements();
    if (!gradient.done()) waits.emplace_back(this, 0, 0, CompletionRef(gradient.completion()));
  }
  std::function<void()> launch;
  if (values_)
    launch = [this, gradients, rate = learning_rate(of_step)] {
      std::vector<Tensor> parts;
      for (const Pending<Tensor>& gradient : gradients) parts.push_back(gradient.get(*this));
      values_->update(parts, rate, parameters_);
    };
  return enqueue_update(elements, waits, std::move(launch));
}

Pending<> WorkerRuntime::enqueue_update(std::int64_t elements, std::span<const Tensor> reads,
                                        std::function<void()> launch) {
  const double seconds =
      job_.spec().costs->sgd_update(static_cast<double>(elements), job_.spec().momentum);
  return Pending<>(CompletionRef(
      enqueue(compute_, "update", Activity::update, -1, seconds, {}, reads, std::move(launch))));
}

Tensor WorkerRuntime::parameters() {
  return parameters_;
}

Tensor WorkerRuntime::parameters(TensorRange range) {
  return parameters_.slice(model().tensors[range.first].offset, model().range_elements(range));
}

void WorkerRuntime::set_parameters(const Tensor& values) {
  const CompletionRef producer = values.ready() ? CompletionRef() : values.producer();
  if (!values_) {
    // The forward pass reads the parameters as a whole: it waits for the latest writer.
    if (producer) parameters_ = Tensor(this, model().elements, 0, producer);
  } else if (values.elements() == model().elements && values.values_offset() == 0) {
    parameters_ = Tensor(this, model().elements, 0, producer, values.values());
  } else {
    if (producer)
      throw std::logic_error("set_parameters of a part needs its values: await finished() first");
    values_->assign(values, parameters_);
  }
}

// ---- own operations
// -------------------------------------------------------------------------------------------

Tensor WorkerRuntime::op(std::string_view name, Activity activity, std::span<const Tensor> reads,
                         std::int64_t elements, double seconds, ValueFunction values) {
  return enqueue_op(compute_, name, activity, reads, elements, seconds, std::move(values));
}

Tensor WorkerRuntime::enqueue_op(Stream& stream, std::string_view name, Activity activity,
                                 std::span<const Tensor> reads, std::int64_t elements,
                                 double seconds, ValueFunction values) {
  const std::int64_t offset = reads.empty() ? 0 : reads.front().offset();
  const BufferRef buffer = new_buffer(elements);
  std::function<void()> launch;
  if (buffer) {
    if (!values) throw std::logic_error(fmt::format("operation '{}' has no values", name));
    launch = values_->compute({reads.begin(), reads.end()}, buffer, std::move(values));
  }
  return result_of(
      enqueue(stream, intern(name), activity, -1, seconds, {}, reads, std::move(launch)), elements,
      offset, buffer);
}

double WorkerRuntime::elementwise_s(double bytes) const {
  return job_.spec().costs->elementwise(bytes);
}

Tensor WorkerRuntime::zeros(std::int64_t elements, std::int64_t offset) {
  return {this, elements, offset, {}, new_buffer(elements)};
}

Pending<> WorkerRuntime::finished(const Tensor& tensor) {
  return Pending<>(tensor.producer());
}

Tensor WorkerRuntime::combine(double a, const Tensor& x, double b, const Tensor& y) {
  const Tensor reads[] = {x, y};
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(
      enqueue(compute_, "combine", Activity::arithmetic, -1, elementwise_s(3 * x.bytes()), {},
              reads, buffer ? values_->combine(a, x, b, y, buffer) : nullptr),
      x.elements(), x.offset(), buffer);
}

Tensor WorkerRuntime::scale(double a, const Tensor& x) {
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(
      enqueue(compute_, "scale", Activity::arithmetic, -1, elementwise_s(2 * x.bytes()), {},
              std::span(&x, 1), buffer ? values_->scale(a, x, buffer) : nullptr),
      x.elements(), x.offset(), buffer);
}

Tensor WorkerRuntime::copy(const Tensor& x) {
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(enqueue(compute_, "copy", Activity::arithmetic, -1, elementwise_s(2 * x.bytes()),
                           {}, std::span(&x, 1), buffer ? values_->scale(1, x, buffer) : nullptr),
                   x.elements(), x.offset(), buffer);
}

double WorkerRuntime::select_s(double elements, double k, Selector selector) const {
  return job_.spec().costs->top_k(elements, k, top_k_model(selector));
}

Selection WorkerRuntime::select(const Tensor& residual, double factor, const Tensor& gradient,
                                double k, Selector selector) {
  const Tensor reads[] = {residual, gradient};
  const BufferRef rest_values = new_buffer(gradient.elements());
  SparseBufferRef sent_values;
  std::function<void()> launch;
  const auto count = std::max<std::int64_t>(1, std::llround(k));
  if (rest_values) {
    sent_values = new SparseBuffer;
    sent_values->size_known = selector != Selector::dgc_sample && selector != Selector::gaussian_k;
    launch = values_->select(residual, factor, gradient, count, selector,
                             static_cast<std::uint64_t>(steps_passed_), sent_values, rest_values);
  }
  const auto operation = enqueue(compute_, "top-k", Activity::sparsify, -1,
                                 select_s(static_cast<double>(gradient.elements()), k, selector),
                                 {}, reads, std::move(launch));
  const Tensor pairs = result_of(operation, count, gradient.offset(), sent_values);
  const Tensor rest = result_of(operation, gradient.elements(), gradient.offset(), rest_values);
  return {Sparse(pairs, gradient.elements(), static_cast<double>(count)), rest};
}

Tensor WorkerRuntime::scatter_mean(const Gathered& blocks) {
  const double seconds = job_.spec().costs->scatter_add(blocks.selected());
  const BufferRef buffer = new_buffer(blocks.dense_elements());
  std::function<void()> launch;
  if (buffer) {
    std::vector<double> weights = job_.spec().weights;
    if (weights.empty()) weights.assign(world_size(), 1.0 / static_cast<double>(world_size()));
    launch = values_->scatter(*blocks.blocks(), std::move(weights), buffer);
  }
  return result_of(
      enqueue(compute_, "scatter-add", Activity::sparsify, -1, seconds, {}, {}, std::move(launch)),
      blocks.dense_elements(), blocks.offset(), buffer);
}

Tensor WorkerRuntime::scatter(const Sparse& block) {
  const double seconds = job_.spec().costs->scatter_add(block.selected());
  const BufferRef buffer = new_buffer(block.dense_elements());
  return result_of(enqueue(compute_, "scatter-add", Activity::sparsify, -1, seconds, {},
                           std::span(&block.pairs(), 1),
                           buffer ? values_->scatter({block}, {1.0}, buffer) : nullptr),
                   block.dense_elements(), block.pairs().offset(), buffer);
}

Tensor WorkerRuntime::put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept) {
  const Tensor reads[] = {residual, sent.pairs(), kept.pairs()};
  const double seconds = job_.spec().costs->scatter_add(sent.selected());
  const BufferRef buffer = new_buffer(residual.elements());
  return result_of(enqueue(compute_, "put back", Activity::sparsify, -1, seconds, {}, reads,
                           buffer ? values_->put_back(residual, sent, kept, buffer) : nullptr),
                   residual.elements(), residual.offset(), buffer);
}

double WorkerRuntime::quantize_s(double elements, double bits) const {
  return job_.spec().costs->quantize(elements, bits);
}

double WorkerRuntime::dequantize_s(double elements, double bits) const {
  return job_.spec().costs->dequantize(elements, bits);
}

// ---- communication
// --------------------------------------------------------------------------------------------

namespace {

CompletionRef unless_done(const Tensor& tensor) {
  return tensor.ready() ? CompletionRef() : tensor.producer();
}

}  // namespace

Pending<Tensor> WorkerRuntime::all_reduce_mean(const Tensor& tensor, Carry carry) {
  note_communication();
  Channel& channel = *job_.channels_[static_cast<std::size_t>(carry.stream)];
  const CollectiveCall call{CollectiveKind::all_reduce, tensor.offset(), tensor.elements(),
                            bits(carry), carry.priority};
  auto& collective = channel.join<AllReduceCall>(rank_, call);
  if (values_) {
    collective.inputs.resize(world_size());
    collective.inputs[rank_] = tensor;
  }
  collective.bytes = static_cast<double>(tensor.elements()) * call.bits / 8;
  Pending<Tensor> pending{boost::intrusive_ptr<Result<Tensor>>(&collective)};
  channel.submit(collective, unless_done(tensor));
  return pending;
}

Pending<Gathered> WorkerRuntime::all_gather(const Sparse& block, Carry carry) {
  note_communication();
  Channel& channel = *job_.channels_[static_cast<std::size_t>(carry.stream)];
  const CollectiveCall call{CollectiveKind::all_gather, block.pairs().offset(),
                            block.dense_elements(), 64, carry.priority};
  auto& collective = channel.join<GatherCall>(rank_, call);
  if (values_) {
    if (!collective.blocks) collective.blocks = std::make_shared<std::vector<Sparse>>(world_size());
    (*collective.blocks)[rank_] = block;
  }
  collective.selected += block.selected();
  collective.bytes += block.bytes();
  Pending<Gathered> pending{boost::intrusive_ptr<Result<Gathered>>(&collective)};
  channel.submit(collective, unless_done(block.pairs()));
  return pending;
}

Pending<Sparse> WorkerRuntime::gtop_k(const Sparse& block, Carry carry) {
  note_communication();
  Channel& channel = *job_.channels_[static_cast<std::size_t>(carry.stream)];
  const CollectiveCall call{CollectiveKind::gtop_k, block.pairs().offset(), block.dense_elements(),
                            64, carry.priority};
  auto& collective = channel.join<GlobalTopKCall>(rank_, call);
  if (values_) {
    collective.blocks.resize(world_size());
    collective.blocks[rank_] = block;
  }
  collective.selected = std::max(collective.selected, block.selected());
  collective.bytes = std::max(collective.bytes, block.bytes());
  Pending<Sparse> pending{boost::intrusive_ptr<Result<Sparse>>(&collective)};
  channel.submit(collective, unless_done(block.pairs()));
  return pending;
}

Pending<> WorkerRuntime::barrier() {
  Channel& channel = *job_.channels_.front();
  auto& collective = channel.join<AllReduceCall>(rank_, {CollectiveKind::barrier, 0, 0, 0, 0});
  Pending<> pending{CompletionRef(&collective)};
  channel.submit(collective, {});
  return pending;
}

// ---- host and servers
// -----------------------------------------------------------------------------------------

// Tensors are values: the copy on the other side refers to the same data.
Tensor WorkerRuntime::copy_across(Stream& stream, const char* name, double seconds,
                                  const Tensor& x) {
  const auto operation = enqueue(stream, name, Activity::copy, -1, seconds, {}, std::span(&x, 1));
  return {this,       x.elements(),
          x.offset(), operation->done() ? CompletionRef() : CompletionRef(operation),
          x.values(), x.values_offset()};
}

Tensor WorkerRuntime::copy_to_host(const Tensor& x) {
  return copy_across(copy_out_, "device to host", job_.spec().costs->copy_d2h(x.bytes()), x);
}

Tensor WorkerRuntime::copy_to_device(const Tensor& x) {
  return copy_across(copy_in_, "host to device", job_.spec().costs->copy_h2d(x.bytes()), x);
}

Tensor WorkerRuntime::host_op(std::string_view name, std::span<const Tensor> reads,
                              std::int64_t elements, double bytes_moved, ValueFunction values) {
  return enqueue_op(host_, name, Activity::host, reads, elements,
                    job_.spec().costs->host_update(bytes_moved), std::move(values));
}

std::size_t WorkerRuntime::server_count() const {
  return job_.spec().servers.size();
}

namespace {

class PushCall final : public Completion {
 public:
  void finish() { complete(); }
  [[nodiscard]] const char* what() const override { return "push"; }
};

class PullCall final : public Result<Tensor> {
 public:
  explicit PullCall(const Shard& shard) : shard_(shard) {}
  void finish(ValuesRef values, std::int64_t values_offset) {
    values_ = std::move(values);
    values_offset_ = values_offset;
    complete();
  }
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, shard_.elements, shard_.offset, {}, values_, values_offset_};
  }
  [[nodiscard]] std::int64_t elements() const override { return shard_.elements; }
  [[nodiscard]] const char* what() const override { return "pull"; }

 private:
  Shard shard_;
  ValuesRef values_;
  std::int64_t values_offset_ = 0;
};

}  // namespace

Pending<> WorkerRuntime::push(const Shard& shard, const Tensor& tensor, Carry carry) {
  note_communication();
  CompletionRef call(new PushCall);
  sent_.messages += 1;
  const double bytes = static_cast<double>(shard.elements) * bits(carry) / 8;
  sent_.bytes += bytes;
  when_done(tensor.producer(), [this, shard, tensor, bytes, call, priority = carry.priority] {
    to_server_[shard.server]->send(bytes, priority, [this, shard, tensor, call] {
      job_.servers_[shard.server]->arrived(
          Request(Request::Kind::push, rank_, shard, 0, tensor, call));
    });
  });
  return Pending<>(call);
}

void WorkerRuntime::push_acknowledged(Endpoint server, const CompletionRef& call) {
  auto* push = static_cast<PushCall*>(call.get());
  intrusive_ptr_add_ref(static_cast<Completion*>(push));  // the message's
  job_.transport_.send(
      server, node_host_, 0,
      [](void* self, std::uint64_t) {
        auto* done = static_cast<PushCall*>(self);
        done->finish();
        intrusive_ptr_release(static_cast<Completion*>(done));
      },
      push, 0);
}

Pending<Tensor> WorkerRuntime::pull(const Shard& shard, std::int64_t version, Carry) {
  note_communication();
  // The request is a message without payload: it pays latency and shares nothing.
  sent_.messages += 1;
  struct Ask {
    ServerRuntime* server;
    Request request;
  };
  boost::intrusive_ptr<PullCall> call(new PullCall(shard));
  auto ask = std::make_unique<Ask>(
      Ask{job_.servers_[shard.server].get(),
          Request(Request::Kind::pull, rank_, shard, version, Tensor(), call)});
  job_.transport_.send(
      node_host_, job_.spec().servers[shard.server], 0,
      [](void* self, std::uint64_t) {
        const std::unique_ptr<Ask> asked(static_cast<Ask*>(self));
        asked->server->arrived(std::move(asked->request));
      },
      ask.release(), 0);
  return Pending<Tensor>(boost::intrusive_ptr<Result<Tensor>>(call));
}

void WorkerRuntime::pull_arrived(const CompletionRef& call, const Tensor& data) {
  static_cast<PullCall*>(call.get())->finish(data.values(), data.values_offset());
}

}  // namespace paceline
