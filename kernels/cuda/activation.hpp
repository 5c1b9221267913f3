#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/layer.hpp"

namespace paceline::cuda {

/// Row-major fp32 in device memory.
class CudaActivation final : public kernels::Activation {
 public:
  explicit CudaActivation(kernels::Dims extents)
      : Activation(std::move(extents)), memory_(size() * sizeof(float)) {}
  [[nodiscard]] float* data() const { return memory_.floats(); }
  [[nodiscard]] std::size_t size() const {
    return static_cast<std::size_t>(kernels::elements(dims()));
  }

 private:
  DeviceMemory memory_;
};

inline const float* values(const kernels::Activation& activation) {
  return static_cast<const CudaActivation&>(activation).data();
}
inline float* values(kernels::Activation& activation) {
  return static_cast<CudaActivation&>(activation).data();
}

}  // namespace paceline::cuda
