// What a worker does together with all others.
#include <algorithm>

#include "sim/worker_runtime.hpp"

namespace paceline {

Pending<Tensor> WorkerRuntime::all_reduce_mean(const Tensor& tensor, Carry carry) {
  note_communication();
  Channel& channel = *job_.channels_[static_cast<std::size_t>(carry.stream)];
  const CollectiveCall call{CollectiveKind::all_reduce, tensor.offset(), tensor.elements(),
                            bits(carry), carry.priority};
  auto& collective = channel.join<AllReduceCall>(rank_, call);
  if (values_) collective.take(rank_, tensor);
  collective.bytes = static_cast<double>(tensor.elements()) * call.bits / 8;
  Pending<Tensor> pending{boost::intrusive_ptr<Result<Tensor>>(&collective)};
  channel.submit(collective, tensor);
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
  channel.submit(collective, block.pairs());
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
  channel.submit(collective, block.pairs());
  return pending;
}

Pending<> WorkerRuntime::barrier() {
  Channel& channel = *job_.channels_.front();
  auto& collective = channel.join<AllReduceCall>(rank_, {CollectiveKind::barrier, 0, 0, 0, 0});
  Pending<> pending{CompletionRef(&collective)};
  channel.submit(collective, {});
  return pending;
}

}  // namespace paceline
