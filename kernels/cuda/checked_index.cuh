#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fault.hpp"

namespace paceline::cuda {

/// The whole number in [0, end) that x stands for; else 0, with the fault noted.
__device__ inline std::size_t checked_index(float x, std::size_t end, int kind, Fault* fault) {
  if (x >= 0.0f && x < static_cast<float>(end) &&
      static_cast<float>(static_cast<std::size_t>(x)) == x) {
    return static_cast<std::size_t>(x);
  }
  fault->value = x;
  fault->kind = kind;
  return 0;
}

}  // namespace paceline::cuda
