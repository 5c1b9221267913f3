#pragma once

// What a selection selects from, and what being sent does to it.

#include "kernels/cuda/device.cuh"

namespace paceline::cuda {

/// Where values come from and what being sent does to them. `Loaded4` lets a thread have several
/// loads in flight before the first use; a Source is passed to kernels by value. This one: acc =
/// residual + scale * gradient, each operation rounded, as the reference computes it.
struct ErrorFeedbackSource {
  const float* gradient;
  float* residual;
  float scale;

  struct Loaded4 {
    float4 gradient, residual;
  };
  __device__ float sum(float r, float g) const { return __fadd_rn(r, __fmul_rn(scale, g)); }
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {__ldcs(reinterpret_cast<const float4*>(gradient + i)),
            __ldcs(reinterpret_cast<const float4*>(residual + i))};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t i) const {
    const float4 out =
        make_float4(sum(in.residual.x, in.gradient.x), sum(in.residual.y, in.gradient.y),
                    sum(in.residual.z, in.gradient.z), sum(in.residual.w, in.gradient.w));
    *reinterpret_cast<float4*>(residual + i) = out;
    return out;
  }
  __device__ float peek(std::uint32_t i) const { return sum(residual[i], gradient[i]); }
  __device__ float settle(std::uint32_t i) const {
    const float out = peek(i);
    residual[i] = out;
    return out;
  }
  __device__ float settled(std::uint32_t i) const { return residual[i]; }
  __device__ void sent(std::uint32_t i) const { residual[i] = 0.0f; }
};

/// A vector that stays as it is.
struct PlainSource {
  const float* values;

  struct Loaded4 {
    float4 values;
  };
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {*reinterpret_cast<const float4*>(values + i)};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t) const { return in.values; }
  __device__ float peek(std::uint32_t i) const { return values[i]; }
  __device__ float settle(std::uint32_t i) const { return values[i]; }
  __device__ float settled(std::uint32_t i) const { return values[i]; }
  __device__ void sent(std::uint32_t) const {}
};

/// DGC's momentum correction: velocity = m * velocity + gradient; accumulated += velocity; both are
/// cleared where an element is sent (its momentum factor masking).
struct MomentumSource {
  const float* gradient;
  float* velocity;
  float* accumulated;
  float momentum;

  struct Loaded4 {
    float4 gradient, velocity, accumulated;
  };
  __device__ float next(float v, float g) const { return __fadd_rn(__fmul_rn(momentum, v), g); }
  __device__ Loaded4 load4(std::uint32_t i) const {
    return {__ldcs(reinterpret_cast<const float4*>(gradient + i)),
            __ldcs(reinterpret_cast<const float4*>(velocity + i)),
            __ldcs(reinterpret_cast<const float4*>(accumulated + i))};
  }
  __device__ float4 settle4(const Loaded4& in, std::uint32_t i) const {
    const float4 v =
        make_float4(next(in.velocity.x, in.gradient.x), next(in.velocity.y, in.gradient.y),
                    next(in.velocity.z, in.gradient.z), next(in.velocity.w, in.gradient.w));
    const float4 out =
        make_float4(__fadd_rn(in.accumulated.x, v.x), __fadd_rn(in.accumulated.y, v.y),
                    __fadd_rn(in.accumulated.z, v.z), __fadd_rn(in.accumulated.w, v.w));
    __stcs(reinterpret_cast<float4*>(velocity + i), v);
    *reinterpret_cast<float4*>(accumulated + i) = out;
    return out;
  }
  __device__ float peek(std::uint32_t i) const {
    return __fadd_rn(accumulated[i], next(velocity[i], gradient[i]));
  }
  __device__ float settle(std::uint32_t i) const {
    const float v = next(velocity[i], gradient[i]);
    const float out = __fadd_rn(accumulated[i], v);
    velocity[i] = v;
    accumulated[i] = out;
    return out;
  }
  __device__ float settled(std::uint32_t i) const { return accumulated[i]; }
  __device__ void sent(std::uint32_t i) const {
    accumulated[i] = 0.0f;
    velocity[i] = 0.0f;
  }
};

}  // namespace paceline::cuda
