// What a worker selects of its gradients, and what it makes of such selections.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "sim/values/worker_values.hpp"

namespace paceline {
namespace {

struct Selecting {
  Selector selector;
  std::int64_t k;
  std::uint64_t seed;
};

// residual += factor * gradient; what is selected of it moves to `pairs`. All in the device's
// memory.
void select_from(const ComputeDevice& device, const Selecting& how, double factor,
                 std::span<const float> gradient, std::span<float> residual, SparseData& pairs) {
  kernels::Backend& on = *device.backend;
  const auto n = static_cast<std::int64_t>(residual.size());
  const auto pairs_of = [&](std::int64_t count) -> kernels::SparseOutput {
    pairs.resize(static_cast<std::size_t>(count));
    return {pairs.indices.write(device.memory.get()), pairs.values.write(device.memory.get())};
  };
  const bool sampled = how.selector == Selector::dgc_sample;
  if (sampled || how.selector == Selector::gaussian_k) {
    on.axpy(factor, gradient, residual);
    const float threshold =
        sampled ? on.sampled_threshold(residual, how.k, std::min<std::int64_t>(100, n), how.seed)
                : on.gaussian_threshold(residual, how.k);
    const kernels::SparseOutput out = pairs_of(on.count_reaching(residual, threshold));
    on.select_reaching(residual, threshold, out);
    on.clear_at(out.indices, residual);
  } else {
    on.error_feedback_top_k(factor, gradient, residual, pairs_of(std::min(how.k, n)));
  }
}

kernels::SparseView pairs_on(DeviceMemory* where, SparseData& data) {
  return {data.indices.read(where), data.values.read(where)};
}

}  // namespace

DeviceValues::Launch WorkerValues::select(const Tensor& residual, double factor,
                                          const Tensor& gradient, std::int64_t k, Selector selector,
                                          std::uint64_t seed, SparseBufferRef sent,
                                          BufferRef rest) {
  if (residual.elements() != gradient.elements())
    throw std::logic_error(fmt::format("a residual of {} elements for a gradient of {}",
                                       residual.elements(), gradient.elements()));
  return [this, residual, factor, gradient, k, selector, seed, sent = std::move(sent),
          rest = std::move(rest)] {
    const std::vector<Tensor> reads{residual, gradient};
    const TaskGraph::Ref task = post_on(
        device(),
        [inputs = views(reads), factor, how = Selecting{selector, k, seed}, pairs = sent->data,
         kept = rest->data](const ComputeDevice& on) {
          DeviceMemory* const where = on.memory.get();
          const std::span<const float> before = inputs[0].read(where);
          const std::span<float> all = kept->write(where);
          on.backend->copy(all.data(), before.data(), before.size_bytes());
          select_from(on, how, factor, inputs[1].read(where), all, *pairs);
        },
        written(reads));
    note_readers(reads, &strand_, task);
    sent->written = rest->written = task;
    sent->read_at =
        buffer_of(gradient).lineage.read_at.newest(gradient.offset(), gradient.elements());
    if (!metrics_.sampled(step_)) return;
    const Tensor left(nullptr, gradient.elements(), gradient.offset(), {}, rest);
    metrics_.compressed(step_, left,
                        Sparse(Tensor(nullptr, k, gradient.offset(), {}, sent), gradient.elements(),
                               static_cast<double>(k)));
  };
}

DeviceValues::Launch WorkerValues::scatter(std::vector<Sparse> blocks, std::vector<double> weights,
                                           BufferRef result) {
  return
      [this, blocks = std::move(blocks), weights = std::move(weights), result = std::move(result)] {
        std::vector<TaskGraph::Ref> after;
        std::vector<std::shared_ptr<SparseData>> data;
        for (const Sparse& block : blocks) {
          after.push_back(buffer_of(block).written);
          data.push_back(buffer_of(block).data);
        }
        result->written = post_on(
            device(),
            [data, weights, out = result->data](const ComputeDevice& on) {
              const std::span<float> sum = out->write(on.memory.get());
              on.backend->fill(0, sum);
              for (std::size_t b = 0; b < data.size(); ++b) {
                const kernels::SparseView view = pairs_on(on.memory.get(), *data[b]);
                on.backend->scatter_add(std::span(&view, 1), weights[b], sum);
              }
            },
            std::move(after));
        std::int64_t read_at = Versions::kNone;
        for (const Sparse& block : blocks) read_at = std::max(read_at, buffer_of(block).read_at);
        result->lineage.read_at.set_all(read_at);
      };
}

DeviceValues::Launch WorkerValues::put_back(const Tensor& residual, const Sparse& sent,
                                            const Sparse& kept, BufferRef result) {
  return [this, residual, sent, kept, result = std::move(result)] {
    result->written =
        post_on(device(),
                [rest = View(residual), own = buffer_of(sent).data, global = buffer_of(kept).data,
                 out = result->data](const ComputeDevice& on) {
                  DeviceMemory* const where = on.memory.get();
                  const std::span<const float> before = rest.read(where);
                  const std::span<float> after = out->write(where);
                  on.backend->copy(after.data(), before.data(), before.size_bytes());
                  const auto indices = own->indices.read(), kept_indices = global->indices.read();
                  const auto values = own->values.read();
                  std::vector<std::int32_t> back_indices;
                  std::vector<float> back_values;
                  for (std::size_t i = 0; i < indices.size(); ++i)
                    if (!std::binary_search(kept_indices.begin(), kept_indices.end(), indices[i])) {
                      back_indices.push_back(indices[i]);
                      back_values.push_back(values[i]);
                    }
                  SparseData back;
                  back.set(back_indices, back_values);
                  const kernels::SparseView view = pairs_on(where, back);
                  on.backend->scatter_add(std::span(&view, 1), 1, after);
                  on.finish();  // `back` is given back
                },
                {buffer_of(residual).written, buffer_of(sent).written, buffer_of(kept).written});
  };
}

}  // namespace paceline
