#include "mpi/server_link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "sim/server/calls.hpp"
#include "sim/server/runtime.hpp"

namespace paceline {
namespace {

// Beyond those of the communication streams.
constexpr int kHeaders = 1000, kPayloads = 1001;

}  // namespace

// On a server: whose call it is.
class RankServerLink::RemoteCall final : public Completion {
 public:
  RemoteCall(int worker, std::uint64_t number) : from(worker), call(number) {}
  int from;
  std::uint64_t call;
};

RankServerLink::RankServerLink(JobContext& job, Messages& messages, ValueWatch& values, int rank)
    : job_(job), messages_(messages), values_(values), rank_(rank) {}

int RankServerLink::server_rank(const Shard& shard) const {
  return static_cast<int>(job_.spec.gpus.size() + shard.server);
}

WireTime& RankServerLink::wire() const {
  return *job_.calls.front()->wires().front();
}

void RankServerLink::listen() {
  const Pending<> here =
      messages_.receive(&incoming_, sizeof incoming_, Messages::kAnyone, kHeaders);
  job_.later.when_done(CompletionRef(here.completion()), [this] {
    const Header header = incoming_;
    listen();
    take(header);
  });
}

void RankServerLink::say_ended() {
  for (std::size_t server = 0; server < job_.spec.servers.size(); ++server) {
    Header header;
    header.shard.server = static_cast<std::uint32_t>(server);
    send(server_rank(header.shard), header, nullptr);
  }
}

// What is behind the header may take long: the next header is not kept waiting for it.
void RankServerLink::take(const Header& header) {
  if (header.kind != Kind::push && header.kind != Kind::answer) return arrived(header, nullptr);
  const auto payload = std::make_shared<std::vector<float>>((header.bytes + 3) / 4);
  const Pending<> here = messages_.receive(payload->data(), header.bytes, header.from, kPayloads);
  const bool of_worker = header.kind == Kind::answer;
  const double began_s = job_.clock.now();
  if (of_worker) wire().began(began_s);
  job_.later.when_done(CompletionRef(here.completion()),
                       [this, header, payload, of_worker, began_s] {
                         if (of_worker) over(Recorder::pulls, header, began_s);
                         arrived(header, payload);
                       });
}

void RankServerLink::arrived(const Header& header, const Payload& payload) {
  const auto answered = [&] {
    const auto call = calls_.extract(header.call);
    return call.mapped();
  };
  switch (header.kind) {
    case Kind::push:
    case Kind::pull: {
      const bool push = header.kind == Kind::push;
      job_.servers.front()->arrived(Request(
          push ? Request::Kind::push : Request::Kind::pull, static_cast<std::uint32_t>(header.from),
          header.shard, header.version, push ? tensor_of(header, payload) : Tensor(),
          CompletionRef(new RemoteCall(header.from, header.call))));
      return;
    }
    case Kind::acknowledge:
      return job_.calls.front()->push_done(answered());
    case Kind::answer:
      return job_.calls.front()->pull_arrived(answered(), tensor_of(header, payload));
    case Kind::end:
      ++ended_;
      return;
  }
}

Tensor RankServerLink::tensor_of(const Header& header, const Payload& payload) const {
  TensorDevice* const device =
      job_.servers.empty() ? nullptr : static_cast<TensorDevice*>(job_.servers.front());
  ValuesRef values;
  if (job_.graph != nullptr) values = new Buffer(*job_.graph, *payload);
  return {device, header.shard.elements, header.shard.offset, {}, values};
}

void RankServerLink::send(int to, const Header& header, Payload payload) {
  const auto kept = std::make_shared<Header>(header);
  const Pending<> gone = messages_.send(kept.get(), sizeof *kept, to, kHeaders);
  job_.later.when_done(CompletionRef(gone.completion()), [kept] {});
  if (!payload) return;
  const Pending<> sent = messages_.send(payload->data(), header.bytes, to, kPayloads);
  const bool of_worker = header.kind == Kind::push;
  const double began_s = job_.clock.now();
  if (of_worker) wire().began(began_s);
  job_.later.when_done(CompletionRef(sent.completion()),
                       [this, header = *kept, payload, of_worker, began_s] {
                         if (of_worker) over(Recorder::pushes, header, began_s);
                       });
}

// The spans of a track follow one another. Where MPI has several of its messages under way, the time
// goes to the one that is there first.
void RankServerLink::over(Recorder::Track direction, const Header& header, double began_s) {
  const double now = job_.clock.now();
  wire().ended(now);
  double& free_s = track_free_s_[direction + header.shard.server];
  job_.record_message(direction, static_cast<std::uint32_t>(rank_), Endpoint{}, header.shard,
                      std::max(began_s, free_s), static_cast<double>(header.bytes));
  free_s = now;
}

void RankServerLink::send_tensor(int to, Header header, const Tensor& tensor, double bits) {
  header.bytes = static_cast<std::uint64_t>(
      std::llround(static_cast<double>(header.shard.elements) * bits / 8));
  if (job_.graph == nullptr)
    return send(to, header, std::make_shared<std::vector<float>>((header.bytes + 3) / 4));
  if (bits != 32)
    throw InputError(fmt::format(
        "schedule '{}' sends {} bits an element, and real ranks send values in fp32: it runs here "
        "for its times alone",
        job_.spec.schedule.name, bits));
  const Pending<> computed = values_.when_done(*job_.graph, buffer_of(tensor).written);
  job_.later.when_done(CompletionRef(computed.completion()), [this, to, header, tensor] {
    const std::span<const float> values = View(tensor).read();
    send(to, header, std::make_shared<std::vector<float>>(values.begin(), values.end()));
  });
}

void RankServerLink::push(const Shard& shard, const Tensor& tensor, double bits,
                          const CompletionRef& call) {
  calls_[next_call_] = call;
  send_tensor(server_rank(shard), {Kind::push, rank_, shard, 0, next_call_++, 0}, tensor, bits);
}

void RankServerLink::pull(const Shard& shard, std::int64_t version, const CompletionRef& call) {
  calls_[next_call_] = call;
  send(server_rank(shard), {Kind::pull, rank_, shard, version, next_call_++, 0}, nullptr);
}

void RankServerLink::acknowledge(const Request& push) {
  const auto& call = static_cast<const RemoteCall&>(*push.call);
  send(call.from, {Kind::acknowledge, rank_, push.shard, 0, call.call, 0}, nullptr);
}

void RankServerLink::reply(const Request& pull, const Tensor& data, double bits) {
  const auto& call = static_cast<const RemoteCall&>(*pull.call);
  send_tensor(call.from, {Kind::answer, rank_, pull.shard, pull.version, call.call, 0}, data, bits);
}

}  // namespace paceline
