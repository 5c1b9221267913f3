#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"

namespace paceline::kernels {

/// Over each row. Parameters: scale [features], shift [features].
///
/// Ba et al.: per row, h = (x-mean)/sqrt(variance+epsilon) with the biased variance; y = scale*h +
/// shift. With e = dy*scale: dx = (e - mean e - h * mean(e*h)) / sqrt(variance+epsilon); dscale =
/// sum over rows of dy*h, dshift = sum over rows of dy.
struct LayerNormShape {
  std::int64_t rows = 1, features = 1;
  double epsilon = 1e-5;
  [[nodiscard]] const char* name() const { return "layer_norm"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {{rows, features}}; }
  [[nodiscard]] Dims output_dims() const { return {rows, features}; }
  [[nodiscard]] std::vector<Dims> parameter_dims() const { return {{features}, {features}}; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const LayerNormShape&) const = default;
};

}  // namespace paceline::kernels
