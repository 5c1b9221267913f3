#include "sim/server/calls.hpp"

#include "sim/job_context.hpp"
#include "sim/server/link.hpp"
#include "sim/server/runtime.hpp"
#include "sim/values/collective_values.hpp"

namespace paceline {
namespace {

class PushCall final : public Completion {
 public:
  void finish() { complete(); }
  [[nodiscard]] const char* what() const override { return "push"; }
};

class PullCall final : public Result<Tensor> {
 public:
  explicit PullCall(const Shard& shard) : Result(shard.elements), offset_(shard.offset) {}
  void finish(ValuesRef values, std::int64_t values_offset) {
    values_ = std::move(values);
    values_offset_ = values_offset;
    complete();
  }
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, elements(), offset_, {}, values_, values_offset_};
  }
  [[nodiscard]] const char* what() const override { return "pull"; }

 private:
  std::int64_t offset_;
  ValuesRef values_;
  std::int64_t values_offset_ = 0;
};

}  // namespace

ServerCalls::ServerCalls(JobContext& job, std::uint32_t rank, Endpoint host, WireTime& wire)
    : job_(job), rank_(rank), host_(host), wire_(wire) {
  job.calls.push_back(this);
  for (const Endpoint server : job.spec.servers)
    to_server_.push_back(
        std::make_unique<Connection>(job.clock, job.transport, host_, server, wire));
}

Pending<> ServerCalls::push(const Shard& shard, const Tensor& tensor, double bits, int priority) {
  CompletionRef call(new PushCall);
  sent_.messages += 1;
  const double bytes = static_cast<double>(shard.elements) * bits / 8;
  sent_.bytes += bytes;
  job_.later.when_done(tensor.producer(), [this, shard, tensor, bits, bytes, call, priority] {
    if (job_.link != nullptr) return job_.link->push(shard, tensor, bits, call);
    const Tensor sent = as_sent(job_.graph, tensor, bits);
    to_server_[shard.server]->send(bytes, priority, [this, shard, sent, call] {
      job_.servers[shard.server]->arrived(
          Request(Request::Kind::push, rank_, shard, 0, sent, call));
    });
  });
  return Pending<>(call);
}

void ServerCalls::push_acknowledged(Endpoint server, const CompletionRef& call) {
  job_.transport.send(server, host_, 0, Continuations::fire,
                      job_.later.keep([this, call] { push_done(call); }), 0);
}

void ServerCalls::push_done(const CompletionRef& call) {
  static_cast<PushCall*>(call.get())->finish();
}

Pending<Tensor> ServerCalls::pull(const Shard& shard, std::int64_t version) {
  // The request is a message without payload: it pays latency and shares nothing.
  sent_.messages += 1;
  boost::intrusive_ptr<PullCall> call(new PullCall(shard));
  const auto ask = [this, shard, version, call] {
    job_.servers[shard.server]->arrived(
        Request(Request::Kind::pull, rank_, shard, version, Tensor(), call));
  };
  if (job_.link != nullptr)
    job_.link->pull(shard, version, CompletionRef(call));
  else
    job_.transport.send(host_, job_.spec.servers[shard.server], 0, Continuations::fire,
                        job_.later.keep(ask), 0);
  return Pending<Tensor>(boost::intrusive_ptr<Result<Tensor>>(call));
}

void ServerCalls::pull_arrived(const CompletionRef& call, const Tensor& data) {
  static_cast<PullCall*>(call.get())->finish(data.values(), data.values_offset());
}

}  // namespace paceline
