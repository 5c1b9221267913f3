#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

struct LrnGeometry {
  int channels;
  std::size_t pixels, total;
  int size;
  float alpha, beta, k;
};

/// base = k + alpha/size * sum of squares over the channels [c - size/2, c + (size-1)/2].
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lrn_kernel(const float* x, LrnGeometry g, float* base, float* y) {
  for (std::size_t i = thread_number(); i < g.total; i += thread_total()) {
    const int channel = static_cast<int>(i / g.pixels % g.channels);
    const int first = max(0, channel - g.size / 2);
    const int last = min(g.channels - 1, channel + (g.size - 1) / 2);
    float sum = 0;
    for (int c = first; c <= last; ++c) {
      const float value = x[i + (c - channel) * static_cast<std::ptrdiff_t>(g.pixels)];
      sum += value * value;
    }
    const float b = g.k + g.alpha / static_cast<float>(g.size) * sum;
    base[i] = b;
    y[i] = x[i] * powf(b, -g.beta);
  }
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lrn_gradient_kernel(const float* x, const float* base, const float* y, const float* dy,
                        LrnGeometry g, float* dx) {
  for (std::size_t i = thread_number(); i < g.total; i += thread_total()) {
    const int channel = static_cast<int>(i / g.pixels % g.channels);
    // The outputs whose window covers this channel.
    const int first = max(0, channel - (g.size - 1) / 2);
    const int last = min(g.channels - 1, channel + g.size / 2);
    float sum = 0;
    for (int c = first; c <= last; ++c) {
      const std::size_t j = i + (c - channel) * static_cast<std::ptrdiff_t>(g.pixels);
      sum += dy[j] * y[j] / base[j];
    }
    dx[i] = dy[i] * powf(base[i], -g.beta) -
            2 * g.alpha * g.beta / static_cast<float>(g.size) * x[i] * sum;
  }
}

}  // namespace paceline::cuda
