#pragma once

#include "kernels/cuda/context.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.cuh"

namespace paceline::cuda {

template <class Op, int In, int Out>
void pointwise(Context& context, const Op& op, const Arrays<In, Out>& arrays, std::size_t n) {
  if (n == 0) return;
  bool aligned = true;
  for (int i = 0; i < In; ++i) aligned = aligned && aligned16(arrays.in[i]);
  for (int i = 0; i < Out; ++i) aligned = aligned && aligned16(arrays.out[i]);
  PACELINE_LAUNCH(context.stream(), context.blocks(aligned ? (n + 3) / 4 : n), vector_threads,
                  (pointwise_kernel<Op, In, Out>), op, arrays, n, aligned);
}

}  // namespace paceline::cuda
