// A schedule's own operations: arithmetic, sparsification, host copies.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/worker/selectors.hpp"
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

double WorkerRuntime::elementwise_s(double bytes) const {
  return job_.spec.costs->elementwise(bytes);
}

Tensor WorkerRuntime::zeros(std::int64_t elements, std::int64_t offset) {
  return {this, elements, offset, {}, new_buffer(elements)};
}

Pending<> WorkerRuntime::finished(const Tensor& tensor) {
  return Pending<>(tensor.producer());
}

Tensor WorkerRuntime::combine(double a, const Tensor& x, double b, const Tensor& y) {
  const Tensor reads[] = {x, y};
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(
      enqueue(compute_, "combine", Activity::arithmetic, -1, elementwise_s(3 * x.bytes()), {},
              reads, buffer ? values_->combine(a, x, b, y, buffer) : nullptr),
      x.elements(), x.offset(), buffer);
}

Tensor WorkerRuntime::scale(double a, const Tensor& x) {
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(
      enqueue(compute_, "scale", Activity::arithmetic, -1, elementwise_s(2 * x.bytes()), {},
              std::span(&x, 1), buffer ? values_->scale(a, x, buffer) : nullptr),
      x.elements(), x.offset(), buffer);
}

Tensor WorkerRuntime::copy(const Tensor& x) {
  const BufferRef buffer = new_buffer(x.elements());
  return result_of(enqueue(compute_, "copy", Activity::arithmetic, -1, elementwise_s(2 * x.bytes()),
                           {}, std::span(&x, 1), buffer ? values_->scale(1, x, buffer) : nullptr),
                   x.elements(), x.offset(), buffer);
}

double WorkerRuntime::select_s(double elements, double k, Selector selector) const {
  return job_.spec.costs->top_k(elements, k, top_k_model(selector));
}

Selection WorkerRuntime::select(const Tensor& residual, double factor, const Tensor& gradient,
                                double k, Selector selector) {
  const Tensor reads[] = {residual, gradient};
  const BufferRef rest_values = new_buffer(gradient.elements());
  SparseBufferRef sent_values;
  std::function<void()> launch;
  const auto count = std::max<std::int64_t>(1, std::llround(k));
  const bool by_threshold = selector == Selector::dgc_sample || selector == Selector::gaussian_k;
  if (rest_values) {
    sent_values = new SparseBuffer(*job_.graph);
    sent_values->size_known = !by_threshold;
    launch = values_->select(residual, factor, gradient, count, selector,
                             static_cast<std::uint64_t>(steps_passed_), sent_values, rest_values);
  }
  const auto operation = enqueue(compute_, "top-k", Activity::sparsify, -1,
                                 select_s(static_cast<double>(gradient.elements()), k, selector),
                                 {}, reads, std::move(launch));
  const Tensor pairs = result_of(operation, count, gradient.offset(), sent_values);
  const Tensor rest = result_of(operation, gradient.elements(), gradient.offset(), rest_values);
  return {Sparse(pairs, gradient.elements(), static_cast<double>(count), by_threshold), rest};
}

Tensor WorkerRuntime::scatter_mean(const Gathered& blocks) {
  const double seconds = job_.spec.costs->scatter_add(blocks.selected());
  const BufferRef buffer = new_buffer(blocks.dense_elements());
  std::function<void()> launch;
  if (buffer) launch = values_->scatter(*blocks.blocks(), job_.spec.weights, buffer);
  return result_of(
      enqueue(compute_, "scatter-add", Activity::sparsify, -1, seconds, {}, {}, std::move(launch)),
      blocks.dense_elements(), blocks.offset(), buffer);
}

Tensor WorkerRuntime::scatter(const Sparse& block) {
  const double seconds = job_.spec.costs->scatter_add(block.selected());
  const BufferRef buffer = new_buffer(block.dense_elements());
  return result_of(enqueue(compute_, "scatter-add", Activity::sparsify, -1, seconds, {},
                           std::span(&block.pairs(), 1),
                           buffer ? values_->scatter({block}, {1.0}, buffer) : nullptr),
                   block.dense_elements(), block.pairs().offset(), buffer);
}

Tensor WorkerRuntime::put_back(const Tensor& residual, const Sparse& sent, const Sparse& kept) {
  const Tensor reads[] = {residual, sent.pairs(), kept.pairs()};
  const double seconds = job_.spec.costs->scatter_add(sent.selected());
  const BufferRef buffer = new_buffer(residual.elements());
  return result_of(enqueue(compute_, "put back", Activity::sparsify, -1, seconds, {}, reads,
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

double WorkerRuntime::quantize_s(double elements, double bits) const {
  return job_.spec.costs->quantize(elements, bits);
}

double WorkerRuntime::dequantize_s(double elements, double bits) const {
  return job_.spec.costs->dequantize(elements, bits);
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

Tensor WorkerRuntime::host_op(std::string_view name, std::span<const Tensor> reads,
                              std::int64_t elements, double bytes_moved, ValueFunction values) {
  return enqueue_op(host_, name, Activity::host, reads, elements,
                    job_.spec.costs->host_update(bytes_moved), std::move(values));
}

}  // namespace paceline
