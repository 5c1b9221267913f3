#include "sim/values/collective_values.hpp"

#include <algorithm>

#include "kernels/quantize.hpp"
#include "kernels/sparsify.hpp"
#include "sim/values/compute_device.hpp"

namespace paceline {
namespace {

void round_to_fp16(std::span<const float> values, std::span<float> rounded) {
  std::vector<std::uint16_t> packed(values.size());
  kernels::reference::pack_fp16(values, packed);
  kernels::reference::unpack_fp16(packed, rounded);
}

struct Mean {
  std::vector<View> inputs;
  std::vector<double> weights;
  Floats out;
  bool half;  // inputs are rounded to fp16
};

void add_up_on_host(const Mean& mean) {
  std::vector<float> rounded;
  const std::span<float> out = mean.out->write();
  std::fill(out.begin(), out.end(), 0.0F);
  for (std::size_t w = 0; w < mean.inputs.size(); ++w) {
    std::span<const float> in = mean.inputs[w].read();
    if (mean.half) {
      rounded.resize(in.size());
      round_to_fp16(in, rounded);
      in = rounded;
    }
    const auto weight = static_cast<float>(mean.weights[w]);
    for (std::size_t i = 0; i < in.size(); ++i) out[i] += weight * in[i];
  }
}

// The same bits without a way over the host.
void add_up_on(DeviceMemory& device, const Mean& mean) {
  std::vector<std::span<const float>> inputs;
  for (const View& input : mean.inputs) inputs.push_back(input.read(&device));
  const std::span<float> out = mean.out->write(&device);
  HostDeviceVector<float> rounded(mean.half ? out.size() : 0);
  HostDeviceVector<std::int32_t> packed(mean.half ? (out.size() + 1) / 2 : 0);  // two a word
  const std::span<float> fp32 = rounded.write(&device);
  const std::span<std::uint16_t> fp16{
      reinterpret_cast<std::uint16_t*>(packed.write(&device).data()), fp32.size()};
  device.run([&](kernels::Backend& on) {
    on.fill(0, out);
    for (std::size_t w = 0; w < inputs.size(); ++w) {
      if (mean.half) {
        on.pack_fp16(inputs[w], fp16);
        on.unpack_fp16(fp16, fp32);
      }
      on.axpy(mean.weights[w], mean.half ? fp32 : inputs[w], out);
    }
  });
}

// The device whose memory holds all of them; null: not all are in one.
DeviceMemory* device_of(const std::vector<View>& inputs) {
  DeviceMemory* const device = inputs.front().device();
  for (const View& input : inputs)
    if (input.device() != device) return nullptr;
  return device;
}

// Pairs in the host's memory.
struct Pairs {
  std::vector<std::int32_t> indices;
  std::vector<float> values;
};

// The pairs that a merge of two blocks keeps, k at most.
Pairs merged(const Pairs& a, const Pairs& b, std::int64_t k) {
  Pairs kept;
  kept.indices.resize(static_cast<std::size_t>(k));
  kept.values.resize(static_cast<std::size_t>(k));
  const auto count = static_cast<std::size_t>(kernels::reference::merge_top_k(
      {a.indices, a.values}, {b.indices, b.values}, {kept.indices, kept.values}));
  kept.indices.resize(count);
  kept.values.resize(count);
  return kept;
}

}  // namespace

Tensor rounded_on_wire(TaskGraph* graph, const Tensor& tensor, double bits) {
  if (!tensor.values() || bits != 16) return tensor;
  const BufferRef result(new Buffer(*graph, static_cast<std::size_t>(tensor.elements())));
  result->written = graph->post(
      [input = View(tensor), out = result->data] { round_to_fp16(input.read(), out->write()); },
      {buffer_of(tensor).written});
  buffer_of(tensor).note_reader(nullptr, result->written);
  inherit(*result, tensor);
  return {tensor.device(), tensor.elements(), tensor.offset(), {}, result};
}

BufferRef reduce_mean(TaskGraph& graph, const std::vector<Tensor>& inputs,
                      const std::vector<double>& weights, double bits) {
  const BufferRef result(new Buffer(graph, static_cast<std::size_t>(inputs.front().elements())));
  result->written = graph.post(
      [mean = Mean{views(inputs), weights, result->data, bits == 16}] {
        if (DeviceMemory* const device = device_of(mean.inputs))
          add_up_on(*device, mean);
        else
          add_up_on_host(mean);
      },
      written(inputs));
  note_readers(inputs, nullptr, result->written);
  for (const Tensor& input : inputs) inherit(*result, input);
  return result;
}

BufferRef concatenate(TaskGraph& graph, const std::vector<Tensor>& parts) {
  std::int64_t elements = 0;
  for (const Tensor& part : parts) elements += part.elements();
  const BufferRef result(new Buffer(graph, static_cast<std::size_t>(elements)));
  result->written = graph.post(
      [inputs = views(parts), out = result->data] {
        std::span<float> rest = out->write();
        for (const View& input : inputs) {
          const std::span<const float> part = input.read();
          std::copy(part.begin(), part.end(), rest.begin());
          rest = rest.subspan(part.size());
        }
      },
      written(parts));
  note_readers(parts, nullptr, result->written);
  for (const Tensor& part : parts) inherit(*result, part);
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
        std::vector<Pairs> held;
        for (std::size_t w = 0; w < data.size(); ++w) {
          const auto indices = data[w]->indices.read();
          const auto values = data[w]->values.read();
          held.push_back({{indices.begin(), indices.end()}, {values.begin(), values.end()}});
          for (float& value : held.back().values) value *= static_cast<float>(weights[w]);
        }
        for (std::size_t distance = 1; distance < held.size(); distance *= 2)
          for (std::size_t r = 0; r + distance < held.size(); r += 2 * distance)
            held[r] = merged(held[r], held[r + distance], k);
        out->set(held.front().indices, held.front().values);
      },
      std::move(after));
  return result;
}

}  // namespace paceline
