#include "sim/server/runtime.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "kernels/operations/reference.hpp"
#include "sim/server/calls.hpp"
#include "sim/server/link.hpp"
#include "sim/values/collective_values.hpp"

namespace paceline {

class ServerRuntime::Receive final : public Result<Request> {
 public:
  void finish(Request request) {
    request_ = std::move(request);
    complete();
  }
  [[nodiscard]] Request value(TensorDevice*) const override { return request_; }
  [[nodiscard]] const char* what() const override { return "a request"; }

 private:
  Request request_;
};

ServerRuntime::ServerRuntime(JobContext& job, std::uint32_t index)
    : job_(job),
      index_(index),
      host_(job.spec.servers[index]),
      memory_bandwidth_(job.cluster.host(job.cluster.node_of(host_)).memory_bandwidth),
      cpu_(job.clock, *this, Recorder::host) {
  cpu_.set_gate(job.gate);
  if (job.graph != nullptr) values_ = std::make_unique<DeviceValues>(*job.graph, *job.metrics);
  for (const ServerCalls* worker : job.calls)
    to_worker_.push_back(std::make_unique<Connection>(job.clock, job.transport, host_,
                                                      worker->host(), worker->wires()));
  job.servers.push_back(this);
}

ServerRuntime::~ServerRuntime() = default;

void ServerRuntime::start() {
  program_ = job_.spec.schedule.server(*this);
  auto& promise = program_.handle().promise();
  promise.executor = &job_.clock;
  promise.device = this;
  job_.clock.resume_soon(promise);
}

void ServerRuntime::stop() {
  program_ = Program();
  receiving_.reset();
  inbox_.clear();
}

double ServerRuntime::now() const {
  return job_.clock.now();
}

void ServerRuntime::arrived(Request request) {
  if (receiving_) {
    const boost::intrusive_ptr<Receive> waiting = std::move(receiving_);
    receiving_.reset();
    waiting->finish(std::move(request));
  } else {
    inbox_.push_back(std::move(request));
  }
}

Pending<Request> ServerRuntime::receive() {
  boost::intrusive_ptr<Receive> receive(new Receive);
  if (inbox_.empty()) {
    receiving_ = receive;
  } else {
    receive->finish(std::move(inbox_.front()));
    inbox_.pop_front();
  }
  return Pending<Request>(boost::intrusive_ptr<Result<Request>>(receive));
}

void ServerRuntime::acknowledge(const Request& push, const Tensor& after) {
  if (job_.link != nullptr)
    return job_.later.when_done(after.producer(), [this, push] { job_.link->acknowledge(push); });
  job_.later.when_done(after.producer(), [this, call = push.call, worker = push.worker] {
    job_.calls[worker]->push_acknowledged(host_, call);
  });
}

void ServerRuntime::reply(const Request& pull, const Tensor& data, SendOptions how) {
  const double bits = how.bits_per_element > 0 ? how.bits_per_element : job_.spec.payload_bits;
  const double bytes = static_cast<double>(pull.shard.elements) * bits / 8;
  job_.later.when_done(data.producer(), [this, pull, data, bits, bytes, priority = how.priority] {
    if (job_.link != nullptr) return job_.link->reply(pull, data, bits);
    const Tensor sent = rounded_on_wire(job_.graph, data, bits);
    to_worker_[pull.worker]->send(bytes, priority, [this, pull, sent, bytes](double left_s) {
      job_.calls[pull.worker]->record_pull(pull.shard, left_s, bytes);
      job_.calls[pull.worker]->pull_arrived(pull.call, sent);
    });
  });
}

double ServerRuntime::seconds(double bytes_moved) const {
  return job_.spec.costs->host_update(bytes_moved, memory_bandwidth_);
}

Tensor ServerRuntime::initial(const Shard& shard) {
  return {this, shard.elements, shard.offset, {}, job_.initial, shard.offset};
}

BufferRef ServerRuntime::new_buffer(std::int64_t elements) const {
  return values_ ? BufferRef(new Buffer(*job_.graph, static_cast<std::size_t>(elements)))
                 : BufferRef();
}

Tensor ServerRuntime::zeros(std::int64_t elements, std::int64_t offset) {
  return {this, elements, offset, {}, new_buffer(elements)};
}

Tensor ServerRuntime::op(std::string_view name, std::span<const Tensor> reads,
                         std::int64_t elements, ValueFunction values) {
  return compute(intern(name), reads, elements, bytes_moved(reads, elements), std::move(values));
}

Tensor ServerRuntime::compute(const char* name, std::span<const Tensor> reads,
                              std::int64_t elements, double bytes, ValueFunction values) {
  const BufferRef result = new_buffer(elements);
  std::function<void()> launch;
  if (result) launch = values_->compute({reads.begin(), reads.end()}, result, std::move(values));
  const std::int64_t offset = reads.empty() ? 0 : reads.front().offset();
  const CompletionRef done = enqueue(name, reads, bytes, std::move(launch));
  return {this, elements, offset, done, result};
}

void ServerRuntime::enqueue_call(const kernels::Call& call, OperationSize size,
                                 std::span<const Tensor> reads, std::span<Tensor> results) {
  std::vector<BufferRef> buffers(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) buffers[i] = new_buffer(results[i].elements());
  std::function<void()> launch;
  if (values_) launch = values_->apply(call, {reads.begin(), reads.end()}, buffers, nullptr);
  const CompletionRef done = enqueue(call.info().name.data(), reads, size.bytes, std::move(launch));
  for (std::size_t i = 0; i < results.size(); ++i)
    results[i] = Tensor(this, results[i].elements(), results[i].offset(), done, buffers[i]);
}

CompletionRef ServerRuntime::enqueue(const char* name, std::span<const Tensor> reads, double bytes,
                                     std::function<void()> launch) {
  return enqueue_for(name, reads, seconds(bytes), std::move(launch));
}

// Null if it is done at once.
CompletionRef ServerRuntime::enqueue_for(const char* name, std::span<const Tensor> reads,
                                         double work, std::function<void()> launch) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool.make();
  operation->name = name;
  operation->activity = Activity::host;
  operation->work = work;
  operation->yields({});
  if (launch) operation->values().launch = std::move(launch);
  for (const Tensor& read : reads)
    if (!read.ready()) operation->after.push_back(read.producer());
  cpu_.enqueue(operation);
  return operation->done() ? CompletionRef() : CompletionRef(operation);
}

void ServerRuntime::accumulate(const Request& push) {
  if (push.in_sum) return;
  const kernels::OperationInfo& addition = kernels::kInfo<kernels::Axpy>;
  const double bytes = addition.least_bytes(static_cast<double>(push.data.elements()));
  const double most = job_.spec.stack.summation_bandwidth.value;
  const double slowest = std::max(seconds(bytes), push.data.bytes() / most);
  enqueue_for(addition.name.data(), std::span(&push.data, 1), slowest, {});
}

Tensor ServerRuntime::mean(std::span<const Tensor> pushed) {
  const auto in_order = [](kernels::Inputs in, std::span<float> out) {
    using kernels::reference::apply;
    apply(kernels::Fill{0}, {}, {out});
    for (const std::span<const float> x : in) apply(kernels::Axpy{1}, {x, out}, {out});
    apply(kernels::Scale{1 / static_cast<double>(in.size())}, {out}, {out});
  };
  return compute("mean", pushed, pushed.front().elements(), 0, in_order);
}

Tensor ServerRuntime::update(const Tensor& weights, const Tensor& gradient, std::int64_t step) {
  const Tensor reads[] = {weights, gradient};
  BufferRef result;
  std::function<void()> launch;
  if (values_) {
    Floats& velocity = velocity_[weights.offset()];
    if (!velocity) {
      const bool kept = job_.spec.values->momentum() > 0;
      velocity =
          job_.graph->state().floats(kept ? static_cast<std::size_t>(weights.elements()) : 0);
    }
    result = new_buffer(weights.elements());
    launch = values_->new_version(
        weights, gradient, result,
        values_->compute({weights, gradient}, result,
                         [engine = job_.spec.values, velocity, rate = learning_rate(step)](
                             auto in, std::span<float> out) {
                           std::copy(in[0].begin(), in[0].end(), out.begin());
                           engine->update(host_backend(), rate, in[1], velocity->change(), out);
                         }));
  }
  // Weights, gradient and the optimiser's state are read; weights and state written.
  const double passes = 3 + 2 * optimizer_slots(job_.spec.optimizer);
  const double clipping = job_.spec.clips ? find_kernel("clip_norm").bytes_per_element *
                                                static_cast<double>(weights.elements())
                                          : 0;
  const CompletionRef done =
      enqueue("server update", reads, passes * weights.bytes() + clipping, std::move(launch));
  Tensor updated(this, weights.elements(), weights.offset(), done, result);
  if (values_) weights_[weights.offset()] = updated;
  return updated;
}

std::vector<Tensor> ServerRuntime::latest() const {
  std::vector<Tensor> result;
  for (const auto& [offset, weights] : weights_) result.push_back(weights);
  return result;
}

void ServerRuntime::operation_finished(Stream& stream, TimedOperation& operation) {
  if (job_.recorder != nullptr)
    job_.recorder->span(host_, stream.id(), operation.name, to_string(operation.activity),
                        operation.started, now());
}

}  // namespace paceline
