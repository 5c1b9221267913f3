#pragma once

#include <array>
#include <atomic>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "algorithms/completion.hpp"
#include "kernels/operations/whole_vector.hpp"

namespace paceline {

/// The data behind a tensor when values are on; opaque here. Counted atomically: strands of the
/// thread pool hold references too.
class Values {
 public:
  Values() = default;
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;
  [[nodiscard]] std::uint32_t references() const { return references_.load(); }

 protected:
  virtual ~Values() = default;

 private:
  friend void intrusive_ptr_add_ref(Values* v) { v->references_.fetch_add(1); }
  friend void intrusive_ptr_release(Values* v) {
    if (v->references_.fetch_sub(1) == 1) delete v;
  }
  std::atomic<std::uint32_t> references_{0};
};
using ValuesRef = boost::intrusive_ptr<Values>;

class Tensor;

/// The values of a schedule's own formula: reads (in order) -> result. Runs on the host.
using ValueFunction =
    std::function<void(std::span<const std::span<const float>> reads, std::span<float> result)>;

/// What an operation costs by: its line in the profile is one over elements, and where it has none
/// it takes as long as moving its least bytes.
struct OperationSize {
  double elements = 0;
  double bytes = 0;
};

/// Whoever computes on tensors (a worker's GPU, its host, a server's CPU). Each call enqueues one
/// operation at the profile's cost for it.
class TensorDevice {
 public:
  /// An operation of kernels/operations on tensors of one length: what it writes, a Tensor or a
  /// tuple of them in the order of Op::writes. `w.apply(Combine{1, -0.1}, weights, gradient)`.
  template <kernels::Operation Op, std::same_as<Tensor>... T>
  auto apply(const Op& op, const T&... reads);
  /// One that looks at whole tensors (kernels::kStructuredInfo): its only result, of `elements`
  /// elements. `size`: of its line; its bytes are those of all it reads and writes.
  Tensor apply(const kernels::Call& call, std::span<const Tensor> reads, std::int64_t elements,
               std::int64_t size);
  /// A formula of the schedule's own: takes as long as moving what it reads and writes.
  virtual Tensor op(std::string_view name, std::span<const Tensor> reads, std::int64_t elements,
                    ValueFunction values) = 0;

  Tensor combine(double a, const Tensor& x, double b, const Tensor& y);  ///< a x + b y
  Tensor scale(double a, const Tensor& x);                               ///< a x
  Tensor copy(const Tensor& x);

 protected:
  ~TensorDevice() = default;
  /// Enqueues `call`. `results` come in with their shapes and leave with what is to be waited for.
  virtual void enqueue_call(const kernels::Call& call, OperationSize size,
                            std::span<const Tensor> reads, std::span<Tensor> results) = 0;
};

/// A handle to one-dimensional fp32 data of a worker: a value, never changed in place by another
/// operation. Copying the handle is free; `copy()` is an operation that takes time. In time-only
/// runs there is no data. `offset` is the position in the flat parameter vector (elements), for
/// parameters and gradients.
class Tensor {
 public:
  Tensor() = default;
  Tensor(TensorDevice* device, std::int64_t elements, std::int64_t offset = 0,
         CompletionRef producer = {}, ValuesRef values = {}, std::int64_t values_offset = 0)
      : device_(device),
        elements_(elements),
        offset_(offset),
        values_offset_(values_offset),
        producer_(std::move(producer)),
        values_(std::move(values)) {}

  [[nodiscard]] std::int64_t elements() const { return elements_; }
  [[nodiscard]] std::int64_t offset() const { return offset_; }
  [[nodiscard]] double bytes() const { return 4.0 * static_cast<double>(elements_); }
  [[nodiscard]] TensorDevice* device() const { return device_; }
  /// The operation that writes it; null once that was seen to be done.
  [[nodiscard]] const CompletionRef& producer() const { return producer_; }
  [[nodiscard]] bool ready() const { return !producer_ || producer_->done(); }
  [[nodiscard]] const ValuesRef& values() const { return values_; }
  /// Where this tensor starts inside `values()`, in elements.
  [[nodiscard]] std::int64_t values_offset() const { return values_offset_; }

  /// Elements [first, first + count) of this tensor; no operation, no copy.
  [[nodiscard]] Tensor slice(std::int64_t first, std::int64_t count) const {
    return {device_, count, offset_ + first, producer_, values_, values_offset_ + first};
  }
  [[nodiscard]] Tensor copy() const { return device_->copy(*this); }

  friend Tensor operator+(const Tensor& x, const Tensor& y) {
    return x.device_->combine(1, x, 1, y);
  }
  friend Tensor operator-(const Tensor& x, const Tensor& y) {
    return x.device_->combine(1, x, -1, y);
  }
  friend Tensor operator*(double a, const Tensor& x) { return x.device_->scale(a, x); }

 private:
  TensorDevice* device_ = nullptr;
  std::int64_t elements_ = 0;
  std::int64_t offset_ = 0;
  std::int64_t values_offset_ = 0;
  CompletionRef producer_;
  ValuesRef values_;
};

/// Of an operation that reads these and writes so many elements.
inline double bytes_moved(std::span<const Tensor> reads, std::int64_t elements) {
  double bytes = 4.0 * static_cast<double>(elements);
  for (const Tensor& read : reads) bytes += read.bytes();
  return bytes;
}

namespace detail {
/// Throws std::logic_error unless all are of one length.
void check_lengths(const kernels::OperationInfo& info, std::span<const Tensor> reads);
}  // namespace detail

template <kernels::Operation Op, std::same_as<Tensor>... T>
auto TensorDevice::apply(const Op& op, const T&... reads) {
  static_assert(sizeof...(T) > 0 && sizeof...(T) == Op::reads.size(),
                "as many tensors as the operation reads");
  const Tensor in[] = {reads...};
  const kernels::Call call = kernels::call_of(op);
  detail::check_lengths(call.info(), in);
  const auto elements = static_cast<double>(in[0].elements());
  std::array<Tensor, Op::writes.size()> out;
  out.fill(Tensor(this, in[0].elements(), in[0].offset()));
  enqueue_call(call, {elements, kernels::least_bytes(op, elements)}, in, out);
  if constexpr (Op::writes.size() == 1)
    return out[0];
  else
    return std::apply([](const auto&... each) { return std::make_tuple(each...); }, out);
}

inline Tensor TensorDevice::combine(double a, const Tensor& x, double b, const Tensor& y) {
  return apply(kernels::Combine{a, b}, x, y);
}
inline Tensor TensorDevice::scale(double a, const Tensor& x) {
  return apply(kernels::Scale{a}, x);
}
inline Tensor TensorDevice::copy(const Tensor& x) {
  return scale(1, x);
}

/// Selected elements of a dense tensor as (index, value) pairs: 8 bytes each on the wire.
/// `estimated`: a threshold selects them, so their number depends on the data, and `selected` is
/// the expected one.
class Sparse {
 public:
  Sparse() = default;
  Sparse(Tensor pairs, std::int64_t dense_elements, double selected, bool estimated = false)
      : pairs_(std::move(pairs)),
        dense_elements_(dense_elements),
        selected_(selected),
        estimated_(estimated) {}

  [[nodiscard]] const Tensor& pairs() const { return pairs_; }
  [[nodiscard]] std::int64_t dense_elements() const { return dense_elements_; }
  [[nodiscard]] double selected() const { return selected_; }
  [[nodiscard]] double bytes() const { return 8.0 * selected_; }
  [[nodiscard]] bool estimated() const { return estimated_; }

 private:
  Tensor pairs_;
  std::int64_t dense_elements_ = 0;
  double selected_ = 0;
  bool estimated_ = false;
};

/// What an all-gather of sparse blocks brought home: one block per worker (the blocks themselves
/// only with values on; copies share them).
class Gathered {
 public:
  Gathered() = default;
  Gathered(std::shared_ptr<const std::vector<Sparse>> blocks, std::int64_t offset,
           std::int64_t dense_elements, double selected)
      : blocks_(std::move(blocks)),
        offset_(offset),
        dense_elements_(dense_elements),
        selected_(selected) {}

  [[nodiscard]] const std::shared_ptr<const std::vector<Sparse>>& blocks() const { return blocks_; }
  [[nodiscard]] std::int64_t offset() const { return offset_; }
  [[nodiscard]] std::int64_t dense_elements() const { return dense_elements_; }
  [[nodiscard]] double selected() const { return selected_; }  ///< over all blocks

 private:
  std::shared_ptr<const std::vector<Sparse>> blocks_;
  std::int64_t offset_ = 0;
  std::int64_t dense_elements_ = 0;
  double selected_ = 0;
};

}  // namespace paceline
