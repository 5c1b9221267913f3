#include "sim/network/dense_call.hpp"

#include "algorithms/shares.hpp"
#include "sim/values/collective_values.hpp"

namespace paceline {

void DenseCall::take(std::uint32_t rank, const Tensor& tensor) {
  inputs.resize(channel.workers());
  inputs[rank] = tensor;
}

void DenseCall::finish() {
  if (!inputs.empty()) {
    const CollectiveValues& with = channel.values();
    if (call.kind == CollectiveKind::gather_shares)
      // The owner's share stays as exact as it is, so that nobody's copy differs from it.
      values = concatenate(*with.graph, inputs);
    else if (call.kind == CollectiveKind::broadcast)
      values = rounded_on_wire(with.graph, inputs[call.root], call.bits).values();
    else if (call.kind != CollectiveKind::all_to_all)
      values = reduce_mean(*with.graph, inputs, with.weights, call.bits);
    if (call.kind != CollectiveKind::all_to_all) inputs.clear();
  }
  complete();
}

ValuesRef DenseCall::received_by(std::uint32_t rank) const {
  if (inputs.empty()) return {};
  const Share share = share_of(call.elements, rank, inputs.size());
  std::vector<Tensor> blocks;
  for (const Tensor& input : inputs) blocks.push_back(input.slice(share.first, share.count));
  return concatenate(*channel.values().graph, blocks);
}

}  // namespace paceline
