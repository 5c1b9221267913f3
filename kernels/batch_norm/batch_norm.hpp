#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/image_shape.hpp"

namespace paceline::kernels {

/// Parameters: scale [channels], shift [channels]. State: running mean, running variance [channels]
/// each.
struct BatchNormShape {
  ImageShape input = {};
  double epsilon = 1e-5;
  double momentum =
      0.1;            ///< weight of the new value in the running statistics, as PyTorch counts it
  bool relu = false;  ///< apply ReLU to the result: saves a pass through memory
  [[nodiscard]] const char* name() const { return "batch_norm"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input.dims()}; }
  [[nodiscard]] Dims output_dims() const { return input.dims(); }
  [[nodiscard]] std::vector<Dims> parameter_dims() const {
    return {{input.channels}, {input.channels}};
  }
  [[nodiscard]] std::int64_t state_elements() const { return 2 * input.channels; }
  /// Running variance 1.
  [[nodiscard]] std::vector<float> initial_state() const;
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const BatchNormShape&) const = default;
};

namespace reference {

/// Per channel over batch, height and width: mean, and biased variance (divided by the count).
template <class T>
void batch_statistics(const ImageShape& shape, const T* x, T* mean, T* variance);
/// Ioffe & Szegedy's running statistics as PyTorch keeps them: running = (1-momentum)*running +
/// momentum*batch, the variance made unbiased by count/(count-1). Count 1: the variance is left
/// alone.
template <class T>
void update_running_statistics(const BatchNormShape& shape, const T* mean, const T* variance,
                               T* running);
/// y = scale * (x-mean)/sqrt(variance+epsilon) + shift, then ReLU if the shape says so.
template <class T>
void batch_norm(const BatchNormShape& shape, const T* x, const T* mean, const T* variance,
                const T* scale, const T* shift, T* y);
/// With h = (x-mean)/sqrt(variance+epsilon) and dy cleared where ReLU cut: dshift = sum dy, dscale
/// = sum dy*h, dx = scale/sqrt(variance+epsilon) * (dy - dshift/count - h*dscale/count). dx may be
/// null.
template <class T>
void batch_norm_gradient(const BatchNormShape& shape, const T* x, const T* y, const T* dy,
                         const T* mean, const T* variance, const T* scale, T* dx, T* dscale,
                         T* dshift);

}  // namespace reference
}  // namespace paceline::kernels
