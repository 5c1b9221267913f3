#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/image_shape.hpp"

namespace paceline::kernels {

/// Parameters: weight [channels, input.channels/groups, kernel_height, kernel_width], bias
/// [channels].
struct Conv2dShape {
  ImageShape input = {};
  std::int64_t channels = 1;  ///< of the output
  Window window = {};
  std::int64_t groups = 1;
  bool bias = false;
  [[nodiscard]] ImageShape output() const;
  [[nodiscard]] const char* name() const { return "conv2d"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {input.dims()}; }
  [[nodiscard]] Dims output_dims() const { return output().dims(); }
  [[nodiscard]] std::vector<Dims> parameter_dims() const;
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const Conv2dShape&) const = default;
};

namespace reference {

/// y[n,m,i,j] = bias[m] + sum over c,u,v of weight[m,c,u,v] * x[n, c + group(m), i*stride-pad+u,
/// j*stride-pad+v], x being zero outside the image (what others call cross-correlation). `bias` may
/// be null.
template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* weight, const T* bias, T* y);
/// dx = the adjoint of conv2d in x, applied to dy.
template <class T>
void conv2d_input_gradient(const Conv2dShape& shape, const T* weight, const T* dy, T* dx);
/// Gradients of weight and, unless null, bias.
template <class T>
void conv2d_parameter_gradient(const Conv2dShape& shape, const T* x, const T* dy, T* dweight,
                               T* dbias);

}  // namespace reference
}  // namespace paceline::kernels
