#pragma once

#include <memory>

#include "kernels/cuda/context.hpp"
#include "kernels/shapes.hpp"

namespace paceline::cuda {

/// The three passes of a convolution, without its bias. y, x, w as kernels/shapes.hpp lays them
/// out.
class Convolution {
 public:
  virtual ~Convolution() = default;
  virtual void forward(const float* x, const float* weight, float* y) = 0;
  virtual void input_gradient(const float* weight, const float* dy, float* dx) = 0;
  virtual void weight_gradient(const float* x, const float* dy, float* d_weight) = 0;
};

/// Through im2col and cuBLAS: always there.
std::unique_ptr<Convolution> make_matrix_convolution(Context& context,
                                                     const kernels::Conv2dShape& shape);
/// Through cuDNN's legacy API (9.0 to 9.19), fp32 by FMA. Each pass takes the fastest deterministic
/// algorithm that cudnnFind measures within 1 GiB of workspace. Where cuDNN has none, the layer
/// goes through im2col, which context.choices() then says. Only where the module was built with
/// cuDNN.
std::unique_ptr<Convolution> make_cudnn_convolution(Context& context,
                                                    const kernels::Conv2dShape& shape);

}  // namespace paceline::cuda
