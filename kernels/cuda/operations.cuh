#pragma once

// What pointwise_kernel computes. Operations round as in the reference (the module is compiled
// without contraction).

#include "kernels/cuda/vector.cuh"
#include "kernels/operations/list.hpp"

namespace paceline::cuda {

/// An operation of kernels/operations.
template <class Op>
struct OnElements {
  Op op;
  __device__ void operator()(const float* x, float* y) const {
    kernels::apply_to_element(op, x, y);
  }
};

// Layers without parameters.
struct Relu {
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] <= 0.0f ? 0.0f : x[0]; }
};
struct Tanh {
  __device__ void operator()(const float* x, float* y) const { y[0] = tanhf(x[0]); }
};
struct Sigmoid {
  __device__ void operator()(const float* x, float* y) const { y[0] = 1.0f / (1.0f + expf(-x[0])); }
};
struct Gelu {
  __device__ void operator()(const float* x, float* y) const {
    y[0] = 0.5f * x[0] * (1.0f + erff(x[0] * 0.70710678f));
  }
};
struct ReluGradient {  // x (or y), dy -> dx
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] <= 0.0f ? 0.0f : x[1]; }
};
struct TanhGradient {  // y, dy -> dx
  __device__ void operator()(const float* x, float* y) const { y[0] = x[1] * (1.0f - x[0] * x[0]); }
};
struct SigmoidGradient {  // y, dy -> dx
  __device__ void operator()(const float* x, float* y) const {
    y[0] = x[1] * (x[0] * (1.0f - x[0]));
  }
};
struct GeluGradient {  // x, dy -> dx
  __device__ void operator()(const float* x, float* y) const {
    const float slope =
        0.5f * (1.0f + erff(x[0] * 0.70710678f)) + x[0] * expf(-0.5f * x[0] * x[0]) * 0.39894228f;
    y[0] = x[1] * slope;
  }
};

}  // namespace paceline::cuda
