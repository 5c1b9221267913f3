// What a worker does together with all others.
#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

constexpr double kBitsOfPair = 64;  // index and value

}  // namespace

template <class C>
C& WorkerRuntime::join(CollectiveKind kind, std::int64_t offset, std::int64_t elements, double bits,
                       const Carry& carry) {
  note_communication();
  Channel& channel = *job_.channels[static_cast<std::size_t>(carry.stream)];
  return channel.join<C>(rank_, {kind, offset, elements, bits, carry.priority});
}

Pending<Tensor> WorkerRuntime::all_reduce_mean(const Tensor& tensor, Carry carry) {
  auto& collective = join<AllReduceCall>(CollectiveKind::all_reduce, tensor.offset(),
                                         tensor.elements(), bits(carry), carry);
  if (values_) collective.take(rank_, tensor);
  collective.bytes = static_cast<double>(tensor.elements()) * collective.call.bits / 8;
  Pending<Tensor> pending{boost::intrusive_ptr<Result<Tensor>>(&collective)};
  collective.channel.submit(collective, tensor);
  return pending;
}

Pending<Gathered> WorkerRuntime::all_gather(const Sparse& block, Carry carry) {
  auto& collective = join<GatherCall>(CollectiveKind::all_gather, block.pairs().offset(),
                                      block.dense_elements(), kBitsOfPair, carry);
  if (values_) collective.take(rank_, block);
  collective.add(block);
  Pending<Gathered> pending{boost::intrusive_ptr<Result<Gathered>>(&collective)};
  collective.channel.submit(collective, block.pairs());
  return pending;
}

Pending<Sparse> WorkerRuntime::gtop_k(const Sparse& block, Carry carry) {
  auto& collective = join<GlobalTopKCall>(CollectiveKind::gtop_k, block.pairs().offset(),
                                          block.dense_elements(), kBitsOfPair, carry);
  if (values_) collective.take(rank_, block);
  collective.add(block);
  Pending<Sparse> pending{boost::intrusive_ptr<Result<Sparse>>(&collective)};
  collective.channel.submit(collective, block.pairs());
  return pending;
}

Pending<> WorkerRuntime::barrier() {
  Channel& channel = *job_.channels.front();
  auto& collective = channel.join<AllReduceCall>(rank_, {CollectiveKind::barrier, 0, 0, 0, 0});
  Pending<> pending{CompletionRef(&collective)};
  channel.submit(collective, {});
  return pending;
}

}  // namespace paceline
