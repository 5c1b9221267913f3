#include "sim/values/device_values.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace paceline {

DeviceValues::Launch DeviceValues::compute(std::vector<Tensor> reads, BufferRef result,
                                           ValueFunction f) {
  for (const Tensor& read : reads)
    if (!read.values()) throw std::logic_error("an operation reads a tensor without values");
  return [this, reads = std::move(reads), result = std::move(result), f = std::move(f)] {
    result->written = strand_.post(
        [inputs = views(reads), out = result->data, f] {
          std::vector<std::span<const float>> spans;
          for (const View& input : inputs) spans.push_back(input.read());
          f(spans, out->write());
        },
        written(reads));
    note_readers(reads, &strand_, result->written);
    for (const Tensor& read : reads) inherit(*result, read);
  };
}

void DeviceValues::note_applied(const Versions& weights, const Tensor& gradient) {
  const std::int64_t from = gradient.offset(), count = gradient.elements();
  const std::int64_t read_at = buffer_of(gradient).lineage.read_at.newest(from, count);
  if (read_at != Versions::kNone) metrics_.applied(weights.newest(from, count) - read_at);
}

DeviceValues::Launch DeviceValues::new_version(const Tensor& weights, const Tensor& gradient,
                                               BufferRef result, Launch launch) {
  return [this, weights, gradient, result = std::move(result), launch = std::move(launch)] {
    launch();
    const Versions& before = buffer_of(weights).lineage.version;
    note_applied(before, gradient);
    result->lineage.version.set_all(before.newest(weights.offset(), weights.elements()) + 1);
  };
}

DeviceValues::Launch DeviceValues::apply(const kernels::Call& call, std::vector<Tensor> reads,
                                         std::vector<BufferRef> results, ComputeDeviceRef on) {
  for (const Tensor& read : reads)
    if (!read.values()) throw std::logic_error("an operation reads a tensor without values");
  if (!on) on = host_device();
  return [this, call, reads = std::move(reads), results = std::move(results), on = std::move(on)] {
    std::vector<Floats> data;
    for (const BufferRef& result : results) data.push_back(result->data);
    const TaskGraph::Ref task = post_on(
        on,
        [call, inputs = views(reads), data](const ComputeDevice& device) {
          DeviceMemory* const where = device.memory.get();
          std::vector<std::span<const float>> in;
          std::vector<std::span<float>> out;
          for (const View& input : inputs) in.push_back(input.read(where));
          for (const Floats& floats : data) out.push_back(floats->write(where));
          call(*device.backend, in, out);
        },
        written(reads));
    note_readers(reads, &strand_, task);
    for (const BufferRef& result : results) {
      result->written = task;
      for (const Tensor& read : reads) inherit(*result, read);
    }
  };
}

DeviceValues::Launch DeviceValues::combine(double a, const Tensor& x, double b, const Tensor& y,
                                           BufferRef result) {
  if (x.elements() != y.elements())
    throw std::logic_error(
        fmt::format("a sum of tensors of {} and {} elements", x.elements(), y.elements()));
  return apply(kernels::Combine{a, b}, {x, y}, {std::move(result)}, device_);
}

DeviceValues::Launch DeviceValues::scale(double a, const Tensor& x, BufferRef result) {
  return apply(kernels::Scale{a}, {x}, {std::move(result)}, device_);
}

}  // namespace paceline
