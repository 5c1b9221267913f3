#include "sim/worker/peer_calls.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "sim/job_context.hpp"
#include "sim/values/collective_values.hpp"

namespace paceline {

// A message, from the first call for it at its receiver's end to the later of arrival and receive().
class PeerCalls::Message final : public Result<Tensor> {
 public:
  void expect(std::int64_t elements, std::int64_t offset) {
    set_elements(elements);
    offset_ = offset;
    wanted = true;
  }
  void finish() { complete(); }
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, elements(), offset_, {}, data.values(), data.values_offset()};
  }
  [[nodiscard]] const char* what() const override { return "receive"; }

  Tensor data;
  bool wanted = false, here = false;

 private:
  std::int64_t offset_ = 0;
};

namespace {

class SendCall final : public Completion {
 public:
  void finish() { complete(); }
  [[nodiscard]] const char* what() const override { return "send"; }
};

}  // namespace

PeerCalls::PeerCalls(JobContext& job, std::uint32_t rank, Endpoint gpu, WireTime& wire)
    : job_(job), rank_(rank), gpu_(gpu), wires_{&wire} {
  job.peers.resize(job.spec.gpus.size(), nullptr);
  job.peers[rank] = this;
}

PeerCalls::~PeerCalls() = default;

PeerCalls::Peer& PeerCalls::peer(std::size_t rank) {
  if (rank >= job_.peers.size() || rank == rank_)
    throw InputError(fmt::format(
        "schedule '{}': worker {} sends to or receives from worker {}: expected another of the {}",
        job_.spec.schedule.name, rank_, rank, job_.peers.size()));
  if (job_.peers[rank] == nullptr)
    throw InputError(fmt::format(
        "schedule '{}' sends from worker to worker, which real ranks do not do yet: it runs in "
        "simulated time alone",
        job_.spec.schedule.name));
  return peers_[rank];
}

PeerCalls::Message& PeerCalls::message(std::size_t from, std::uint64_t number) {
  auto& found = peers_[from].open[number];
  if (!found) found = new Message;
  return *found;
}

Pending<> PeerCalls::send(std::size_t to, const Tensor& tensor, double bits, int priority) {
  Peer& other = peer(to);
  if (!other.connection)
    other.connection =
        std::make_unique<Connection>(job_.clock, job_.transport, gpu_, job_.spec.gpus[to], wires_);
  const std::uint64_t number = other.sent++;
  const double bytes = static_cast<double>(tensor.elements()) * bits / 8;
  sent_.messages += 1;
  sent_.bytes += bytes;
  const boost::intrusive_ptr<SendCall> call(new SendCall);
  job_.later.when_done(tensor.producer(), [this, to, &connection = *other.connection, number,
                                           tensor, bits, bytes, call, priority] {
    const Tensor sent = rounded_on_wire(job_.graph, tensor, bits);
    connection.send(bytes, priority, [this, to, number, sent, call] {
      job_.peers[to]->arrived(rank_, number, sent);
      call->finish();
    });
  });
  return Pending<>(CompletionRef(call));
}

Pending<Tensor> PeerCalls::receive(std::size_t from, std::int64_t elements, std::int64_t offset) {
  Peer& other = peer(from);
  const std::uint64_t number = other.received++;
  const boost::intrusive_ptr<Message> call(&message(from, number));
  call->expect(elements, offset);
  if (call->here) arrived(from, number, call->data);
  return Pending<Tensor>(boost::intrusive_ptr<Result<Tensor>>(call));
}

void PeerCalls::arrived(std::size_t from, std::uint64_t number, const Tensor& tensor) {
  const boost::intrusive_ptr<Message> call(&message(from, number));
  call->data = tensor;
  call->here = true;
  if (!call->wanted) return;
  if (call->elements() != tensor.elements())
    throw InputError(fmt::format(
        "schedule '{}': message {} from worker {} to worker {} has {} elements where {} are "
        "awaited",
        job_.spec.schedule.name, number, from, rank_, tensor.elements(), call->elements()));
  peers_[from].open.erase(number);
  call->finish();
}

}  // namespace paceline
