#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/layer.hpp"
#include "kernels/matrix_product.hpp"
#include "kernels/shapes.hpp"

// The reference backend's activations and layers, for fp32 and, so that gradients can be checked
// against differences, for double.
namespace paceline::kernels {

/// Row-major values in host memory, its own or someone else's.
template <class T>
class PlainActivation final : public Activation {
 public:
  explicit PlainActivation(Dims extents)
      : Activation(std::move(extents)), own_(static_cast<std::size_t>(elements(dims()))) {
    data_ = own_.data();
  }
  PlainActivation(Dims extents, T* data) : Activation(std::move(extents)), data_(data) {}
  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(elements(dims())); }

 private:
  std::vector<T> own_;
  T* data_;
};

template <class T>
const T* values(const Activation& activation) {
  return static_cast<const PlainActivation<T>&>(activation).data();
}
template <class T>
T* values(Activation& activation) {
  return static_cast<PlainActivation<T>&>(activation).data();
}

/// Any layer in its reference form, on PlainActivation<T>. T is float or double. Throws InputError
/// (check_shape).
template <class T>
std::unique_ptr<BasicLayer<T>> make_reference_layer(const LayerShape& shape);

namespace reference {

/// Sum of term(0) ... term(n-1): eight interleaved partial sums, added as a balanced tree. The
/// order is fixed, and a compiler can keep the eight in vector registers without reordering
/// anything.
template <class Sum, class Term>
Sum interleaved_sum(std::int64_t n, Term term) {
  Sum lane[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (std::int64_t j = 0; j < 8; ++j) lane[j] += term(i + j);
  for (std::int64_t j = 0; i + j < n; ++j) lane[j] += term(i + j);
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

}  // namespace reference
}  // namespace paceline::kernels
