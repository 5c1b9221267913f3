#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/image_shape.hpp"

namespace paceline::kernels {

/// y = x / (k + alpha/size * sum of squares over `size` neighbouring channels)^beta
///
/// Local response normalisation across channels (Krizhevsky et al., 2012): with d_c = k +
/// alpha/size * the sum of x^2 over the `size` channels around c, y_c = x_c * d_c^-beta; dx_c =
/// dy_c * d_c^-beta - 2 alpha beta/size * x_c * the sum of dy*y/d over the same neighbourhood.
struct LrnShape {
  ImageShape input = {};
  std::int64_t size = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
  [[nodiscard]] const char* name() const { return "lrn"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input.dims()}; }
  [[nodiscard]] Dims output_dims() const { return input.dims(); }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const LrnShape&) const = default;
};

}  // namespace paceline::kernels
