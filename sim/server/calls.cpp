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
    : job_(job), rank_(rank), host_(host), node_(nullptr), wires_{&wire} {
  if (const auto node = job.nodes.find(host); node != job.nodes.end()) {
    node_ = node->second.get();
    node_->wires.push_back(&wire);
  }
  job.calls.push_back(this);
  for (const Endpoint server : job.spec.servers)
    to_server_.push_back(
        std::make_unique<Connection>(job.clock, job.transport, host_, server, wires()));
}

Pending<> ServerCalls::push(const Shard& shard, const Tensor& tensor, double bits, int priority) {
  CompletionRef call(new PushCall);
  const double bytes = static_cast<double>(shard.elements) * bits / 8;
  if (node_ == nullptr) {
    sent_.messages += 1;
    sent_.bytes += bytes;
  }
  job_.later.when_done(tensor.producer(), [this, shard, tensor, bits, bytes, call, priority] {
    if (job_.link != nullptr) return job_.link->push(shard, tensor, bits, call);
    const Tensor sent = rounded_on_wire(job_.graph, tensor, bits);
    const Request push(Request::Kind::push, rank_, shard, 0, sent, call);
    if (node_ == nullptr) return send(shard.server, bytes, priority, {push});
    node_->push(push, bytes, [this, server = shard.server, bytes, priority](auto pushes) {
      sent_.messages += 1;
      sent_.bytes += bytes;
      send(server, bytes, priority, std::move(pushes));
    });
  });
  return Pending<>(call);
}

void ServerCalls::send(std::uint32_t server, double bytes, int priority,
                       std::vector<Request> pushes) {
  for (std::size_t i = 1; i < pushes.size(); ++i) pushes[i].in_sum = true;
  to_server_[server]->send(
      bytes, priority, [this, server, bytes, pushes = std::move(pushes)](double left_s) {
        job_.record_message(Recorder::pushes, rank_, host_, pushes.front().shard, left_s, bytes);
        for (const Request& push : pushes) job_.servers[server]->arrived(push);
      });
}

void ServerCalls::push_acknowledged(Endpoint server, const CompletionRef& call) {
  job_.transport.send(server, host_, 0, Continuations::fire,
                      job_.later.keep([this, call] { push_done(call); }), 0);
}

void ServerCalls::push_done(const CompletionRef& call) {
  static_cast<PushCall*>(call.get())->finish();
}

Pending<Tensor> ServerCalls::pull(const Shard& shard, std::int64_t version) {
  boost::intrusive_ptr<PullCall> call(new PullCall(shard));
  const CompletionRef first =
      node_ != nullptr ? node_->pull(rank_, shard, CompletionRef(call)) : CompletionRef();
  if (first)
    job_.later.when_done(first, [first, call] {
      const Tensor answer = static_cast<PullCall*>(first.get())->value(nullptr);
      call->finish(answer.values(), answer.values_offset());
    });
  else
    ask(shard, version, CompletionRef(call));
  return Pending<Tensor>(boost::intrusive_ptr<Result<Tensor>>(call));
}

// A message without payload: it pays latency and shares nothing.
void ServerCalls::ask(const Shard& shard, std::int64_t version, const CompletionRef& call) {
  sent_.messages += 1;
  const auto asked = [this, shard, version, call] {
    job_.servers[shard.server]->arrived(
        Request(Request::Kind::pull, rank_, shard, version, Tensor(), call));
  };
  if (job_.link != nullptr)
    job_.link->pull(shard, version, call);
  else
    job_.transport.send(host_, job_.spec.servers[shard.server], 0, Continuations::fire,
                        job_.later.keep(asked), 0);
}

void ServerCalls::record_pull(const Shard& shard, double left_s, double bytes) const {
  job_.record_message(Recorder::pulls, rank_, host_, shard, left_s, bytes);
}

void ServerCalls::pull_arrived(const CompletionRef& call, const Tensor& data) {
  static_cast<PullCall*>(call.get())->finish(data.values(), data.values_offset());
}

}  // namespace paceline
