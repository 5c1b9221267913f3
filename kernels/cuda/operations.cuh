#pragma once

// What pointwise_kernel computes: the formulas of kernels/blend.hpp and kernels/optimizer.hpp,
// operation by operation as the reference rounds them (the module is compiled without contraction).

#include "kernels/cuda/vector.cuh"

namespace paceline::cuda {

struct Fill {
  float value;
  __device__ void operator()(const float*, float* y) const { y[0] = value; }
};
struct Axpy {  // x, y -> y
  float a;
  __device__ void operator()(const float* x, float* y) const {
    y[0] = __fadd_rn(x[1], __fmul_rn(a, x[0]));
  }
};
struct Scale {
  float a;
  __device__ void operator()(const float* x, float* y) const { y[0] = a * x[0]; }
};
struct Subtract {
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] - x[1]; }
};
struct Add {
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] + x[1]; }
};
struct Interpolate {  // z, x -> x
  float a;
  __device__ void operator()(const float* x, float* y) const { y[0] = (1 - a) * x[1] + a * x[0]; }
};
struct AddProgress {  // mean, start, x -> x
  __device__ void operator()(const float* x, float* y) const { y[0] = x[0] + (x[2] - x[1]); }
};
struct DelayCompensate {  // gradient, weights, backup -> out
  float lambda;
  __device__ void operator()(const float* x, float* y) const {
    y[0] = x[0] + lambda * x[0] * x[0] * (x[1] - x[2]);
  }
};
struct DelayCompensateAdaptive {  // gradient, weights, backup, square -> out, square
  float lambda, decay, rest;      // rest: 1 - decay, taken in double
  __device__ void operator()(const float* x, float* y) const {
    const float g = x[0];
    y[1] = decay * x[3] + rest * g * g;
    y[0] = g + __fdiv_rn(lambda, __fsqrt_rn(y[1] + 1e-7f)) * g * g * (x[1] - x[2]);
  }
};
struct OdSgdLocalUpdate {  // gradient, weights, previous -> local
  float rate, decay, lambda, rescale;
  __device__ void operator()(const float* x, float* y) const {
    const float g = rescale * x[0];
    const float w = x[1];
    y[0] = w - rate * (g + decay * w + lambda * g * g * (w - x[2]));
  }
};
struct Sgd {  // gradient, weights -> weights
  float rate, decay;
  __device__ void operator()(const float* x, float* y) const {
    y[0] = x[1] - rate * (x[0] + decay * x[1]);
  }
};
struct MomentumSgd {  // gradient, velocity, weights -> velocity, weights
  float rate, momentum, decay;
  bool nesterov;
  __device__ void operator()(const float* x, float* y) const {
    const float d = x[0] + decay * x[2];
    y[0] = momentum * x[1] + d;
    y[1] = x[2] - rate * (nesterov ? d + momentum * y[0] : y[0]);
  }
};
struct AdamW {  // gradient, mean, square, weights -> mean, square, weights
  float beta1, beta2, rest1, rest2, rate, root_bias, epsilon, keep;
  __device__ void operator()(const float* x, float* y) const {
    y[0] = beta1 * x[1] + rest1 * x[0];
    y[1] = beta2 * x[2] + rest2 * x[0] * x[0];
    y[2] = keep * x[3] - __fdiv_rn(rate * y[0], __fdiv_rn(__fsqrt_rn(y[1]), root_bias) + epsilon);
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
