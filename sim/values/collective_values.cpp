#include "sim/values/collective_values.hpp"

#include <algorithm>

#include "kernels/quantize.hpp"
#include "kernels/sparsify.hpp"

namespace paceline {
namespace {

std::vector<float> rounded_to_fp16(std::span<const float> values) {
  std::vector<std::uint16_t> packed(values.size());
  std::vector<float> rounded(values.size());
  kernels::reference::pack_fp16(values, packed);
  kernels::reference::unpack_fp16(packed, rounded);
  return rounded;
}

}  // namespace

Tensor as_sent(TaskGraph* graph, const Tensor& tensor, double bits) {
  if (!tensor.values() || bits != 16) return tensor;
  const BufferRef result(new Buffer(*graph, static_cast<std::size_t>(tensor.elements())));
  result->written = graph->post(
      [input = View(tensor), out = result->data] { *out = rounded_to_fp16(input.read()); },
      {buffer_of(tensor).written});
  buffer_of(tensor).note_reader(nullptr, result->written);
  inherit(*result, tensor);
  return {tensor.device(), tensor.elements(), tensor.offset(), {}, result};
}

BufferRef reduce_mean(TaskGraph& graph, const std::vector<Tensor>& inputs,
                      const std::vector<double>& weights, double bits) {
  const BufferRef result(new Buffer(graph, static_cast<std::size_t>(inputs.front().elements())));
  result->written = graph.post(
      [inputs = views(inputs), weights, out = result->data, half = bits == 16] {
        std::vector<float> rounded;
        out->assign(inputs.front().read().size(), 0.0F);
        for (std::size_t w = 0; w < inputs.size(); ++w) {
          std::span<const float> in = inputs[w].read();
          if (half) {
            rounded = rounded_to_fp16(in);
            in = rounded;
          }
          const auto weight = static_cast<float>(weights[w]);
          for (std::size_t i = 0; i < in.size(); ++i) (*out)[i] += weight * in[i];
        }
      },
      written(inputs));
  note_readers(inputs, nullptr, result->written);
  for (const Tensor& input : inputs) inherit(*result, input);
  return result;
}

SparseBufferRef merge_top_k(TaskGraph& graph, const std::vector<Sparse>& blocks,
                            const std::vector<double>& weights, std::int64_t k) {
  SparseBufferRef result(new SparseBuffer(graph));
  std::vector<TaskGraph::Ref> after;
  std::vector<std::shared_ptr<SparseData>> data;
  for (const Sparse& block : blocks) {
    after.push_back(buffer_of(block).written);
    data.push_back(buffer_of(block).data);
    result->read_at = std::max(result->read_at, buffer_of(block).read_at);
  }
  result->written = graph.post(
      [data, weights, k, out = result->data] {
        std::vector<SparseData> held;
        for (std::size_t w = 0; w < data.size(); ++w) {
          held.push_back(*data[w]);
          for (float& value : held.back().values) value *= static_cast<float>(weights[w]);
        }
        for (std::size_t distance = 1; distance < held.size(); distance *= 2)
          for (std::size_t r = 0; r + distance < held.size(); r += 2 * distance) {
            SparseData merged;
            merged.indices.resize(static_cast<std::size_t>(k));
            merged.values.resize(static_cast<std::size_t>(k));
            const SparseData& a = held[r];
            const SparseData& b = held[r + distance];
            const std::int64_t count = kernels::reference::merge_top_k(
                {a.indices, a.values}, {b.indices, b.values}, {merged.indices, merged.values});
            merged.indices.resize(static_cast<std::size_t>(count));
            merged.values.resize(static_cast<std::size_t>(count));
            held[r] = std::move(merged);
          }
        *out = std::move(held.front());
      },
      std::move(after));
  return result;
}

}  // namespace paceline
