#pragma once

#include <atomic>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "algorithms/completion.hpp"

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

/// Whoever computes on tensors (a worker's GPU, a server's CPU). Each call enqueues one operation,
/// at the profile's cost for the bytes it moves.
class TensorDevice {
 public:
  virtual Tensor combine(double a, const Tensor& x, double b, const Tensor& y) = 0;  ///< a x + b y
  virtual Tensor scale(double a, const Tensor& x) = 0;                               ///< a x
  virtual Tensor copy(const Tensor& x) = 0;

 protected:
  ~TensorDevice() = default;
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
