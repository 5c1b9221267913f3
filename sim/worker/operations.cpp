// A schedule's own operations: arithmetic, sparsification, host copies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/worker/runtime.hpp"

namespace paceline {

Tensor WorkerRuntime::op(std::string_view name, Activity activity, std::span<const Tensor> reads,
                         std::int64_t elements, double seconds, ValueFunction values) {
  return enqueue_op(compute_, name, activity, reads, elements, seconds, std::move(values));
}

Tensor WorkerRuntime::enqueue_op(Stream& stream, std::string_view name, Activity activity,
                                 std::span<const Tensor> reads, std::int64_t elements,
                                 double seconds, ValueFunction values) {
  const std::int64_t offset = reads.empty() ? 0 : reads.front().offset();
  const BufferRef buffer = new_buffer(elements);
  std::function<void()> launch;
  if (buffer) {
    if (!values) throw std::logic_error(fmt::format("operation '{}' has no values", name));
    launch = values_->compute({reads.begin(), reads.end()}, buffer, std::move(values));
  }
  return result_of(
      enqueue(stream, intern(name), activity, -1, seconds, {}, reads, std::move(launch)), elements,
      offset, buffer);
}

Tensor WorkerRuntime::op(std::string_view name, std::span<const Tensor> reads,
                         std::int64_t elements, ValueFunction values) {
  return enqueue_op(compute_, name, Activity::arithmetic, reads, elements,
                    job_.spec.costs->elementwise(bytes_moved(reads, elements)), std::move(values));
}

Tensor WorkerRuntime::HostDevice::op(std::string_view name, std::span<const Tensor> reads,
                                     std::int64_t elements, ValueFunction values) {
  return worker_.enqueue_op(worker_.host_, name, Activity::host, reads, elements,
                            worker_.host_update_s(bytes_moved(reads, elements)), std::move(values));
}

void WorkerRuntime::enqueue_call(const kernels::Call& call, OperationSize size,
                                 std::span<const Tensor> reads, std::span<Tensor> results) {
  enqueue_call(compute_, Activity::arithmetic,
               job_.spec.costs->operation(call.info().name, size.elements, size.bytes), call, reads,
               results);
}

void WorkerRuntime::HostDevice::enqueue_call(const kernels::Call& call, OperationSize size,
                                             std::span<const Tensor> reads,
                                             std::span<Tensor> results) {
  worker_.enqueue_call(worker_.host_, Activity::host, worker_.host_update_s(size.bytes), call,
                       reads, results);
}

void WorkerRuntime::enqueue_call(Stream& stream, Activity activity, double seconds,
                                 const kernels::Call& call, std::span<const Tensor> reads,
                                 std::span<Tensor> results) {
  std::vector<BufferRef> buffers;
  std::function<void()> launch;
  if (values_) {
    for (const Tensor& result : results) buffers.push_back(new_buffer(result.elements()));
    launch = values_->apply(call, {reads.begin(), reads.end()}, buffers,
                            &stream == &host_ ? nullptr : values_->device());
  }
  const auto operation =
      enqueue(stream, call.info().name.data(), activity, -1, seconds, {}, reads, std::move(launch));
  const CompletionRef done = operation->done() ? CompletionRef() : CompletionRef(operation);
  for (std::size_t i = 0; i < results.size(); ++i)
    results[i] = Tensor(results[i].device(), results[i].elements(), results[i].offset(), done,
                        values_ ? buffers[i] : BufferRef());
}

Tensor WorkerRuntime::zeros(std::int64_t elements, std::int64_t offset) {
  return {this, elements, offset, {}, new_buffer(elements)};
}

Pending<> WorkerRuntime::finished(const Tensor& tensor) {
  return Pending<>(tensor.producer());
}

double WorkerRuntime::select_s(double elements, double k, Selector selector) const {
  return job_.spec.costs->top_k(elements, k, selector);
}

namespace {

bool by_threshold(Selector selector) {
  return selector == Selector::dgc_sample || selector == Selector::gaussian_k;
}

// As its cost is called in profiles.
const char* name_of(Selector selector) {
  return selector == Selector::radix_select
             ? "error_feedback_top_k"
             : kSelectorNames[static_cast<std::size_t>(selector)].data();
}

}  // namespace

Selection WorkerRuntime::select(const Tensor& residual, double factor, const Tensor& gradient,
                                double k, Selector selector) {
  const Tensor reads[] = {residual, gradient};
  const BufferRef rest = new_buffer(gradient.elements());
  const Selected selected = selection_of(k, selector);
  std::function<void()> launch;
  if (rest)
    launch = values_->select(residual, factor, gradient, selected.count, selector,
                             static_cast<std::uint64_t>(steps_passed_), selected.values, rest);
  const auto operation = enqueue(compute_, name_of(selector), Activity::sparsify, -1,
                                 select_s(static_cast<double>(gradient.elements()), k, selector),
                                 {}, reads, std::move(launch));
  return {sent_of(operation, selected, gradient),
          result_of(operation, gradient.elements(), gradient.offset(), rest)};
}

WorkerRuntime::Selected WorkerRuntime::selection_of(double k, Selector selector) const {
  Selected selected{std::max<std::int64_t>(1, std::llround(k)), by_threshold(selector), {}};
  if (values_) {
    selected.values = new SparseBuffer(*job_.graph);
    selected.values->size_known = !selected.by_threshold;
  }
  return selected;
}

Sparse WorkerRuntime::sent_of(const boost::intrusive_ptr<TimedOperation>& operation,
                              const Selected& selected, const Tensor& gradient) {
  return {result_of(operation, selected.count, gradient.offset(), selected.values),
          gradient.elements(), static_cast<double>(selected.count), selected.by_threshold};
}

// In one kernel where the profile prices that (it selects exactly), else in three.
MomentumSelection WorkerRuntime::select_with_momentum(const Tensor& momentum,
                                                      const Tensor& residual, double m,
                                                      const Tensor& gradient, double k,
                                                      Selector selector) {
  if (selector == Selector::radix_select && job_.spec.costs->measures("momentum_top_k"))
    return select_with_momentum_fused(momentum, residual, m, gradient, k);
  const Tensor grown = combine(m, momentum, 1, gradient);
  const Selection selection = select(residual, 1, grown, k, selector);
  const Tensor reads[] = {grown, selection.residual};
  const kernels::Call mask(kernels::MaskMomentum{});
  const auto elements = static_cast<double>(gradient.elements());
  Tensor masked(this, gradient.elements(), gradient.offset());
  enqueue_call(
      compute_, Activity::sparsify,
      job_.spec.costs->operation(mask.info().name, elements, mask.info().least_bytes(elements)),
      mask, reads, std::span(&masked, 1));
  return {selection.sent, masked, selection.residual};
}

MomentumSelection WorkerRuntime::select_with_momentum_fused(const Tensor& momentum,
                                                            const Tensor& residual, double m,
                                                            const Tensor& gradient, double k) {
  const std::int64_t elements = gradient.elements(), offset = gradient.offset();
  const Selected selected = selection_of(k, Selector::radix_select);
  const BufferRef grown = new_buffer(elements), rest = new_buffer(elements),
                  masked = new_buffer(elements);
  std::function<void()> launch;
  if (values_) {
    const auto tensor = [&](const BufferRef& buffer) {
      return Tensor(this, elements, offset, {}, buffer);
    };
    launch = [grow = values_->apply(kernels::Combine{m, 1}, {momentum, gradient}, {grown},
                                    values_->device()),
              select = values_->select(
                  residual, 1, tensor(grown), selected.count, Selector::radix_select,
                  static_cast<std::uint64_t>(steps_passed_), selected.values, rest),
              mask = values_->apply(kernels::MaskMomentum{}, {tensor(grown), tensor(rest)},
                                    {masked}, values_->device())] {
      grow();
      select();
      mask();
    };
  }
  const Tensor reads[] = {momentum, residual, gradient};
  const double seconds =
      job_.spec.costs->kernel("momentum_top_k", static_cast<double>(elements), k);
  const auto operation = enqueue(compute_, "momentum_top_k", Activity::sparsify, -1, seconds, {},
                                 reads, std::move(launch));
  return {sent_of(operation, selected, gradient), result_of(operation, elements, offset, masked),
          result_of(operation, elements, offset, rest)};
}

Tensor WorkerRuntime::scatter_mean(const Gathered& blocks) {
  const double seconds = job_.spec.costs->scatter_add(blocks.selected());
  const BufferRef buffer = new_buffer(blocks.dense_elements());
  std::function<void()> launch;
  if (buffer) launch = values_->scatter(*blocks.blocks(), job_.spec.weights, buffer);
  return result_of(
      enqueue(compute_, "scatter_add", Activity::sparsify, -1, seconds, {}, {}, std::move(launch)),
      blocks.dense_elements(), blocks.offset(), buffer);
}

Tensor WorkerRuntime::scatter(const Sparse& block) {
  const double seconds = job_.spec.costs->scatter_add(block.selected());
  const BufferRef buffer = new_buffer(block.dense_elements());
  return result_of(enqueue(compute_, "scatter_add", Activity::sparsify, -1, seconds, {},
                           std::span(&block.pairs(), 1),
                           buffer ? values_->scatter({block}, {1.0}, buffer) : nullptr),
                   block.dense_elements(), block.pairs().offset(), buffer);
}

Tensor WorkerRuntime::put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept) {
  const Tensor reads[] = {residual, sent.pairs(), kept.pairs()};
  const double seconds = job_.spec.costs->scatter_add(sent.selected());
  const BufferRef buffer = new_buffer(residual.elements());
  return result_of(enqueue(compute_, "put_back", Activity::sparsify, -1, seconds, {}, reads,
                           buffer ? values_->put_back(residual, sent, kept, buffer) : nullptr),
                   residual.elements(), residual.offset(), buffer);
}

void WorkerRuntime::compressed(const Tensor& residual, const Tensor& sent) {
  if (!values_) return;
  job_.later.when_done(residual.producer(), [this, residual, sent, step = steps_passed_] {
    job_.later.when_done(sent.producer(), [this, residual, sent, step] {
      values_->compressed(step, residual, sent);
    });
  });
}

// Tensors are values: the copy on the other side refers to the same data.
Tensor WorkerRuntime::copy_across(Stream& stream, const char* name, double seconds,
                                  const Tensor& x) {
  const auto operation = enqueue(stream, name, Activity::copy, -1, seconds, {}, std::span(&x, 1));
  return {this,       x.elements(),
          x.offset(), operation->done() ? CompletionRef() : CompletionRef(operation),
          x.values(), x.values_offset()};
}

Tensor WorkerRuntime::copy_to_host(const Tensor& x) {
  return copy_across(copy_out_, "device to host", job_.spec.costs->copy_d2h(x.bytes()), x);
}

Tensor WorkerRuntime::copy_to_device(const Tensor& x) {
  return copy_across(copy_in_, "host to device", job_.spec.costs->copy_h2d(x.bytes()), x);
}

}  // namespace paceline
