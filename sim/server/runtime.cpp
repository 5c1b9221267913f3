#include "sim/server/runtime.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "sim/values/collective_values.hpp"
#include "sim/worker/runtime.hpp"

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

ServerRuntime::ServerRuntime(Job& job, std::uint32_t index)
    : job_(job),
      index_(index),
      host_(job.spec().servers[index]),
      memory_bandwidth_(job.cluster_.host(job.cluster_.node_of(host_)).memory_bandwidth),
      cpu_(job.clock_, *this, Recorder::host) {
  if (job.graph_ != nullptr) values_ = std::make_unique<DeviceValues>(*job.graph_, *job.metrics_);
  for (const auto& worker : job.workers())
    to_worker_.push_back(std::make_unique<Connection>(job.clock_, job.transport_, host_,
                                                      worker->host(), worker->own_wire()));
}

ServerRuntime::~ServerRuntime() = default;

void ServerRuntime::start() {
  program_ = job_.spec().schedule.server(*this);
  auto& promise = program_.handle().promise();
  promise.executor = &job_.clock_;
  promise.device = this;
  job_.clock_.resume_soon(promise);
}

void ServerRuntime::stop() {
  program_ = Program();
  receiving_.reset();
  inbox_.clear();
}

double ServerRuntime::now() const {
  return job_.clock_.now();
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
  job_.later_.when_done(after.producer(), [this, call = push.call, worker = push.worker] {
    job_.workers()[worker]->server_calls().push_acknowledged(host_, call);
  });
}

void ServerRuntime::reply(const Request& pull, const Tensor& data, Carry carry) {
  const double bits =
      carry.bits_per_element > 0 ? carry.bits_per_element : job_.spec().payload_bits;
  const double bytes = static_cast<double>(pull.shard.elements) * bits / 8;
  job_.later_.when_done(
      data.producer(), [this, pull, data, bits, bytes, priority = carry.priority] {
        const Tensor sent = as_sent(job_.graph_, data, bits);
        to_worker_[pull.worker]->send(bytes, priority, [this, pull, sent] {
          job_.workers()[pull.worker]->server_calls().pull_arrived(pull.call, sent);
        });
      });
}

double ServerRuntime::seconds(double bytes_moved) const {
  return std::max(job_.spec().costs->host_update(bytes_moved), bytes_moved / memory_bandwidth_);
}

Tensor ServerRuntime::initial(const Shard& shard) {
  return {this, shard.elements, shard.offset, {}, job_.initial_, shard.offset};
}

Tensor ServerRuntime::zeros(std::int64_t elements, std::int64_t offset) {
  return {this,
          elements,
          offset,
          {},
          values_ ? ValuesRef(new Buffer(*job_.graph_, static_cast<std::size_t>(elements)))
                  : ValuesRef()};
}

Tensor ServerRuntime::op(std::string_view name, std::span<const Tensor> reads,
                         std::int64_t elements, double bytes_moved, ValueFunction values) {
  BufferRef result;
  std::function<void()> launch;
  if (values_ && elements > 0) {
    result = new Buffer(*job_.graph_, static_cast<std::size_t>(elements));
    launch = values_->compute({reads.begin(), reads.end()}, result, std::move(values));
  }
  return enqueue(name, reads, elements, bytes_moved, result, std::move(launch));
}

Tensor ServerRuntime::enqueue(std::string_view name, std::span<const Tensor> reads,
                              std::int64_t elements, double bytes_moved, BufferRef result,
                              std::function<void()> launch) {
  boost::intrusive_ptr<TimedOperation> operation = job_.pool_.make();
  const Range range{elements, reads.empty() ? 0 : reads.front().offset()};
  operation->name = intern(name);
  operation->activity = Activity::host;
  operation->work = seconds(bytes_moved);
  operation->yields(range);
  if (launch) operation->values().launch = std::move(launch);
  for (const Tensor& read : reads)
    if (!read.ready()) operation->after.push_back(read.producer());
  cpu_.enqueue(operation);
  return {this, range.elements, range.offset,
          operation->done() ? CompletionRef() : CompletionRef(operation), result};
}

Tensor ServerRuntime::update(const Tensor& weights, const Tensor& gradient, std::int64_t step) {
  const Tensor reads[] = {weights, gradient};
  BufferRef result;
  std::function<void()> launch;
  if (values_) {
    Floats& velocity = velocity_[weights.offset()];
    if (!velocity) {
      const bool kept = job_.spec().values->momentum() > 0;
      velocity =
          job_.graph_->ledger().floats(kept ? static_cast<std::size_t>(weights.elements()) : 0);
    }
    result = new Buffer(*job_.graph_, static_cast<std::size_t>(weights.elements()));
    launch = values_->new_version(
        weights, gradient, result,
        values_->compute({weights, gradient}, result,
                         [engine = job_.spec().values, velocity, rate = learning_rate(step)](
                             auto in, std::span<float> out) {
                           std::copy(in[0].begin(), in[0].end(), out.begin());
                           engine->update(host_backend(), rate, in[1], velocity->change(), out);
                         }));
  }
  // Weights, gradient and, with momentum, velocity are read; weights and velocity written.
  const double passes = job_.spec().momentum ? 5 : 3;
  Tensor updated = enqueue("server update", reads, weights.elements(), passes * weights.bytes(),
                           result, std::move(launch));
  if (values_) weights_[weights.offset()] = updated;
  return updated;
}

std::vector<Tensor> ServerRuntime::latest() const {
  std::vector<Tensor> result;
  for (const auto& [offset, weights] : weights_) result.push_back(weights);
  return result;
}

Tensor ServerRuntime::combine(double a, const Tensor& x, double b, const Tensor& y) {
  const Tensor reads[] = {x, y};
  const BufferRef result =
      values_ ? BufferRef(new Buffer(*job_.graph_, static_cast<std::size_t>(x.elements())))
              : BufferRef();
  return enqueue("combine", reads, x.elements(), 3 * x.bytes(), result,
                 result ? values_->combine(a, x, b, y, result) : nullptr);
}

Tensor ServerRuntime::scale(double a, const Tensor& x) {
  const BufferRef result =
      values_ ? BufferRef(new Buffer(*job_.graph_, static_cast<std::size_t>(x.elements())))
              : BufferRef();
  return enqueue("scale", std::span(&x, 1), x.elements(), 2 * x.bytes(), result,
                 result ? values_->scale(a, x, result) : nullptr);
}

Tensor ServerRuntime::copy(const Tensor& x) {
  return scale(1, x);
}

void ServerRuntime::operation_finished(Stream& stream, TimedOperation& operation) {
  if (job_.recorder_ != nullptr)
    job_.recorder_->span(host_, stream.id(), operation.name, to_string(operation.activity),
                         operation.started, now());
}

}  // namespace paceline
