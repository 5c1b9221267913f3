// What a worker does together with all others.
#include <bit>

#include "sim/worker/runtime.hpp"

namespace paceline {
namespace {

constexpr double kBitsOfPair = 8 * WorkerRuntime::kBytesOfPair;

// What a tree of merges has kept, once the time of the merges has gone by.
class MergedBlocks final : public Result<Sparse> {
 public:
  explicit MergedBlocks(boost::intrusive_ptr<Result<Sparse>> tree) : tree_(std::move(tree)) {}
  void finish() { complete(); }
  [[nodiscard]] Sparse value(TensorDevice* device) const override { return tree_->value(device); }
  [[nodiscard]] const char* what() const override { return "merge_top_k"; }

 private:
  boost::intrusive_ptr<Result<Sparse>> tree_;
};

}  // namespace

template <class C>
C& WorkerRuntime::join(CollectiveKind kind, std::int64_t offset, std::int64_t elements, double bits,
                       const SendOptions& how) {
  note_communication();
  Channel& channel = *job_.channels[static_cast<std::size_t>(how.stream)];
  return channel.join<C>(rank_, {kind, offset, elements, bits, how.priority});
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
  const boost::intrusive_ptr<MergedBlocks> merged(new MergedBlocks(tree));
  job_.later.when_done(tree, [this, merged, seconds = rounds * merge_s] {
    const CompletionRef merging(
        enqueue(compute_, "merge_top_k", Activity::sparsify, -1, seconds, {}, {}));
    job_.later.when_done(merging, [merged] { merged->finish(); });
  });
  return Pending<Sparse>(boost::intrusive_ptr<Result<Sparse>>(merged));
}

Pending<> WorkerRuntime::barrier() {
  Channel& channel = *job_.channels.front();
  auto& collective = channel.join<AllReduceCall>(rank_, {CollectiveKind::barrier, 0, 0, 0, 0});
  Pending<> pending{CompletionRef(&collective)};
  channel.submit(collective, {});
  return pending;
}

}  // namespace paceline
