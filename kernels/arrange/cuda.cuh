#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

constexpr int add_inputs = 8;
struct AddInputs {
  const float* in[add_inputs];
  int count;
};
/// y = the sum of the inputs, in their order.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    add_kernel(AddInputs inputs, std::size_t n, bool relu, float* y) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    float sum = inputs.in[0][i];
    // Unrolled, so that no index is known at run time only: that would copy the pointers to local
    // memory.
    PACELINE_UNROLL
    for (int a = 1; a < add_inputs; ++a) {
      if (a < inputs.count) sum += inputs.in[a][i];
    }
    y[i] = relu && sum < 0.0f ? 0.0f : sum;
  }
}

struct ShortcutGeometry {
  int channels, height, width, out_channels, out_height, out_width, stride, before;
};
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    subsample_pad_kernel(const float* x, ShortcutGeometry g, std::size_t n, float* y) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    const int column = static_cast<int>(i % g.out_width);
    const int row = static_cast<int>(i / g.out_width % g.out_height);
    const int channel =
        static_cast<int>(i / g.out_width / g.out_height % g.out_channels) - g.before;
    const std::size_t image = i / g.out_width / g.out_height / g.out_channels;
    y[i] = channel < 0 || channel >= g.channels
               ? 0.0f
               : x[((image * g.channels + channel) * g.height + row * g.stride) * g.width +
                   column * g.stride];
  }
}
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    subsample_pad_gradient_kernel(const float* dy, ShortcutGeometry g, std::size_t n, float* dx) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    const int column = static_cast<int>(i % g.width);
    const int row = static_cast<int>(i / g.width % g.height);
    const int channel = static_cast<int>(i / g.width / g.height % g.channels) + g.before;
    const std::size_t image = i / g.width / g.height / g.channels;
    const bool taken = row % g.stride == 0 && column % g.stride == 0 && channel < g.out_channels;
    dx[i] = taken ? dy[((image * g.out_channels + channel) * g.out_height + row / g.stride) *
                           g.out_width +
                       column / g.stride]
                  : 0.0f;
  }
}

}  // namespace paceline::cuda
