#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"

namespace paceline::kernels {

/// gelu is the exact one, x*Phi(x).
enum class PointwiseFunction { relu, tanh, sigmoid, gelu };
struct PointwiseShape {
  Dims dims = {};
  PointwiseFunction function = PointwiseFunction::relu;
  [[nodiscard]] const char* name() const;
  [[nodiscard]] std::vector<Dims> input_dims() const { return {dims}; }
  [[nodiscard]] Dims output_dims() const { return dims; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const PointwiseShape&) const = default;
};

namespace reference {

/// relu max(x,0) (NaN stays NaN), tanh, sigmoid 1/(1+exp(-x)), gelu x*Phi(x). Transcendental
/// functions are taken in double and rounded once, so that fp32 results do not depend on the C
/// library.
template <class T>
T pointwise(PointwiseFunction function, T x);
/// dy/dx at x, where y = pointwise(function, x). relu: 0 at 0.
template <class T>
T pointwise_slope(PointwiseFunction function, T x, T y);

}  // namespace reference
}  // namespace paceline::kernels
