// What a worker does together with all others.
#include <bit>
#include <stdexcept>

#include "algorithms/shares.hpp"
#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

constexpr double kBitsOfPair = 8 * WorkerRuntime::kBytesOfPair;

// What a collective brings, once the time of the operations on it has gone by.
template <class T>
class Worked final : public Result<T> {
 public:
  explicit Worked(boost::intrusive_ptr<Result<T>> brought)
      : Result<T>(brought->elements()), brought_(std::move(brought)) {}
  void finish() { this->complete(); }
  [[nodiscard]] T value(TensorDevice* device) const override { return brought_->value(device); }
  [[nodiscard]] const char* what() const override { return "work on what a collective brought"; }

 private:
  boost::intrusive_ptr<Result<T>> brought_;
};

}  // namespace

template <class C>
C& WorkerRuntime::join(CollectiveKind kind, std::int64_t offset, std::int64_t elements, double bits,
                       const SendOptions& how) {
  note_communication();
  Channel& channel = *job_.channels[static_cast<std::size_t>(how.stream)];
  return channel.join<C>(rank_, {kind, offset, elements, bits, how.priority});
}

template <class T>
Pending<T> WorkerRuntime::worked_on(const boost::intrusive_ptr<Result<T>>& brought,
                                    const char* name, double seconds) {
  const boost::intrusive_ptr<Worked<T>> result(new Worked<T>(brought));
  job_.later.when_done(CompletionRef(brought), [this, result, name, seconds] {
    const CompletionRef work(enqueue(compute_, name, Activity::sparsify, -1, seconds, {}, {}));
    job_.later.when_done(work, [result] { result->finish(); });
  });
  return Pending<T>(boost::intrusive_ptr<Result<T>>(result));
}

CompletionRef WorkerRuntime::enqueue_hand_over(std::int64_t offset, std::int64_t elements) {
  const Stack& stack = job_.spec.stack;
  const auto tensors = static_cast<double>(model().tensors_in(offset, elements));
  // Of the host, whose speed is not the GPU's.
  const double seconds =
      speed_ * (stack.compute_per_collective.value + stack.compute_per_tensor.value * tensors);
  return CompletionRef(enqueue(compute_, "hand over", Activity::software, -1, seconds, {}, {}));
}

void WorkerRuntime::submit_after(const CompletionRef& handed, Collective& collective,
                                 const Tensor& data) {
  job_.later.when_done(handed,
                       [&collective, data] { collective.channel.submit(collective, data); });
}

Pending<Tensor> WorkerRuntime::all_reduce_mean(const Tensor& tensor, SendOptions how) {
  auto& collective = join<AllReduceCall>(CollectiveKind::all_reduce, tensor.offset(),
                                         tensor.elements(), bits(how), how);
  if (values_) collective.take(rank_, tensor);
  collective.bytes = static_cast<double>(tensor.elements()) * collective.call.bits / 8;
  Pending<Tensor> pending{boost::intrusive_ptr<Result<Tensor>>(&collective)};
  submit(collective, tensor);
  return pending;
}

Pending<Gathered> WorkerRuntime::all_gather(const Sparse& block, SendOptions how) {
  auto& collective = join<GatherCall>(CollectiveKind::all_gather, block.pairs().offset(),
                                      block.dense_elements(), kBitsOfPair, how);
  if (values_) collective.take(rank_, block);
  collective.add(block);
  Pending<Gathered> pending{boost::intrusive_ptr<Result<Gathered>>(&collective)};
  submit(collective, block.pairs());
  return pending;
}

Pending<Sparse> WorkerRuntime::gtop_k(const Sparse& block, SendOptions how) {
  auto& collective = join<GlobalTopKCall>(CollectiveKind::gtop_k, block.pairs().offset(),
                                          block.dense_elements(), kBitsOfPair, how);
  if (values_) collective.take(rank_, block);
  collective.add(block);
  const boost::intrusive_ptr<Result<Sparse>> tree(&collective);
  submit(collective, block.pairs());
  // A merge stands between any two rounds of the way up. All workers wait for all of them: each
  // books them, in one piece, when the tree has come down.
  const auto rounds = static_cast<double>(std::bit_width(world_size() - 1));
  const double merge_s = job_.spec.costs->kernel("merge_top_k", 0, block.selected());
  return worked_on<Sparse>(tree, "merge_top_k", rounds * merge_s);
}

Pending<> WorkerRuntime::barrier() {
  Channel& channel = *job_.channels.front();
  auto& collective = channel.join<AllReduceCall>(rank_, {CollectiveKind::barrier, 0, 0, 0, 0});
  Pending<> pending{CompletionRef(&collective)};
  channel.submit(collective, {});
  return pending;
}

// What one worker gets of a collective that brings every worker something of its own.
class WorkerRuntime::OwnPart final : public Result<Tensor> {
 public:
  OwnPart(DenseCall& call, std::uint32_t rank, std::size_t workers, std::int64_t elements)
      : Result(elements),
        call_(&call),
        rank_(rank),
        share_(share_of(call.call.elements, rank, workers)) {}
  void finish() {
    if (scatters())
      received_ = call_->values;
    else
      received_ = call_->received_by(rank_);
    complete();
  }
  [[nodiscard]] Tensor value(TensorDevice* device) const override {
    return {device, elements(), call_->call.offset + share_.first,
            {},     received_,  scatters() ? share_.first : 0};
  }
  [[nodiscard]] const char* what() const override { return to_string(call_->call.kind); }

 private:
  [[nodiscard]] bool scatters() const { return call_->call.kind == CollectiveKind::reduce_scatter; }

  boost::intrusive_ptr<DenseCall> call_;
  std::uint32_t rank_;
  Share share_;
  ValuesRef received_;
};

DenseCall& WorkerRuntime::join_dense(CollectiveKind kind, const Tensor& tensor,
                                     std::int64_t elements, std::int64_t offset,
                                     const SendOptions& how, std::uint32_t root) {
  note_communication();
  Channel& channel = *job_.channels[static_cast<std::size_t>(how.stream)];
  auto& collective =
      channel.join<DenseCall>(rank_, {kind, offset, elements, bits(how), how.priority, root});
  if (values_) collective.take(rank_, tensor);
  const double blocks =
      kind == CollectiveKind::gather_mean ? static_cast<double>(world_size()) : 1.0;
  collective.bytes = blocks * static_cast<double>(elements) * collective.call.bits / 8;
  return collective;
}

Pending<Tensor> WorkerRuntime::own_part(DenseCall& call, std::int64_t elements) {
  const boost::intrusive_ptr<OwnPart> part(new OwnPart(call, rank_, world_size(), elements));
  job_.later.when_done(call.completion(), [part] { part->finish(); });
  return Pending<Tensor>(boost::intrusive_ptr<Result<Tensor>>(part));
}

Pending<Tensor> WorkerRuntime::reduce_scatter_mean(const Tensor& tensor, SendOptions how) {
  DenseCall& call =
      join_dense(CollectiveKind::reduce_scatter, tensor, tensor.elements(), tensor.offset(), how);
  const Pending<Tensor> part =
      own_part(call, share_of(tensor.elements(), rank_, world_size()).count);
  submit(call, tensor);
  return part;
}

Pending<Tensor> WorkerRuntime::gather_shares(const Tensor& mine, std::int64_t elements,
                                             std::int64_t offset, SendOptions how) {
  if (mine.elements() != share_of(elements, rank_, world_size()).count)
    throw std::logic_error("gather_shares: not this worker's share");
  DenseCall& call = join_dense(CollectiveKind::gather_shares, mine, elements, offset, how);
  const Pending<Tensor> whole{boost::intrusive_ptr<Result<Tensor>>(&call)};
  submit(call, mine);
  return whole;
}

Pending<Tensor> WorkerRuntime::gather_mean(const Tensor& tensor, double entries, SendOptions how) {
  DenseCall& call =
      join_dense(CollectiveKind::gather_mean, tensor, tensor.elements(), tensor.offset(), how);
  const boost::intrusive_ptr<Result<Tensor>> mean(&call);
  submit(call, tensor);
  return worked_on(mean, "scatter_add",
                   job_.spec.costs->scatter_add(entries * static_cast<double>(world_size())));
}

Pending<Tensor> WorkerRuntime::broadcast(const Tensor& tensor, std::size_t root, SendOptions how) {
  if (root >= world_size()) throw std::logic_error("broadcast: there is no such worker");
  DenseCall& call = join_dense(CollectiveKind::broadcast, tensor, tensor.elements(),
                               tensor.offset(), how, static_cast<std::uint32_t>(root));
  const Pending<Tensor> sent{boost::intrusive_ptr<Result<Tensor>>(&call)};
  submit(call, tensor);
  return sent;
}

Pending<Tensor> WorkerRuntime::all_to_all(const Tensor& tensor, SendOptions how) {
  DenseCall& call =
      join_dense(CollectiveKind::all_to_all, tensor, tensor.elements(), tensor.offset(), how);
  const std::int64_t share = share_of(tensor.elements(), rank_, world_size()).count;
  const Pending<Tensor> received = own_part(call, share * static_cast<std::int64_t>(world_size()));
  submit(call, tensor);
  return received;
}

Pending<> WorkerRuntime::send(std::size_t to, const Tensor& tensor, SendOptions how) {
  note_communication();
  if (hands_over_) enqueue_hand_over(tensor.offset(), tensor.elements());
  return peer_calls_.send(to, tensor, bits(how), how.priority);
}

Pending<Tensor> WorkerRuntime::receive(std::size_t from, std::int64_t elements,
                                       std::int64_t offset) {
  note_communication();
  return peer_calls_.receive(from, elements, offset);
}

}  // namespace paceline
