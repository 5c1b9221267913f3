#pragma once

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

struct PoolGeometry {
  int planes, height, width, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
  bool count_padding;
  __device__ std::size_t outputs() const {
    return static_cast<std::size_t>(planes) * out_height * out_width;
  }
  __device__ std::size_t inputs() const {
    return static_cast<std::size_t>(planes) * height * width;
  }
};

/// The window of an output along one axis, cut to the image; `count` also counts padding if asked
/// to.
struct Span {
  int begin, end, count;
};
__device__ inline Span window_span(int out, int stride, int kernel, int pad, int extent,
                                   bool count_padding) {
  const int begin = out * stride - pad;
  const int padded_end = min(begin + kernel, extent + pad);
  const int first = max(begin, 0);
  const int last = min(begin + kernel, extent);
  return {first, last, count_padding ? padded_end - begin : last - first};
}

/// `where` (maximum only): position of the first maximum within its plane.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    pool_kernel(const float* x, PoolGeometry g, bool maximum, float* y, std::int32_t* where) {
  for (std::size_t i = thread_number(); i < g.outputs(); i += thread_total()) {
    const int column = static_cast<int>(i % g.out_width);
    const int row = static_cast<int>(i / g.out_width % g.out_height);
    const float* plane = x + i / g.out_width / g.out_height * g.height * g.width;
    const Span v =
        window_span(row, g.stride_height, g.kernel_height, g.pad_height, g.height, g.count_padding);
    const Span h =
        window_span(column, g.stride_width, g.kernel_width, g.pad_width, g.width, g.count_padding);
    float best = 0;
    int at = -1;
    float sum = 0;
    for (int r = v.begin; r < v.end; ++r) {
      for (int c = h.begin; c < h.end; ++c) {
        const float value = plane[r * g.width + c];
        sum += value;
        // A NaN wins and stays: it must not vanish in a maximum.
        if (at < 0 || value > best || (value != value && best == best)) {
          best = value;
          at = r * g.width + c;
        }
      }
    }
    if (maximum) {
      y[i] = best;
      where[i] = at;
    } else {
      y[i] = sum / static_cast<float>(v.count * h.count);
    }
  }
}

/// Every input collects from the windows that cover it, in the outputs' order.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    pool_gradient_kernel(const float* dy, const std::int32_t* where, PoolGeometry g, bool maximum,
                         float* dx) {
  for (std::size_t i = thread_number(); i < g.inputs(); i += thread_total()) {
    const int column = static_cast<int>(i % g.width);
    const int row = static_cast<int>(i / g.width % g.height);
    const std::size_t plane = i / g.width / g.height * g.out_height * g.out_width;
    const int first_row =
        max(0, (row + g.pad_height - g.kernel_height + g.stride_height) / g.stride_height);
    const int last_row = min(g.out_height - 1, (row + g.pad_height) / g.stride_height);
    const int first_column =
        max(0, (column + g.pad_width - g.kernel_width + g.stride_width) / g.stride_width);
    const int last_column = min(g.out_width - 1, (column + g.pad_width) / g.stride_width);
    float sum = 0;
    for (int r = first_row; r <= last_row; ++r) {
      for (int c = first_column; c <= last_column; ++c) {
        const std::size_t out = plane + static_cast<std::size_t>(r) * g.out_width + c;
        if (maximum) {
          if (where[out] == row * g.width + column) sum += dy[out];
        } else {
          const Span v = window_span(r, g.stride_height, g.kernel_height, g.pad_height, g.height,
                                     g.count_padding);
          const Span h =
              window_span(c, g.stride_width, g.kernel_width, g.pad_width, g.width, g.count_padding);
          sum += dy[out] / static_cast<float>(v.count * h.count);
        }
      }
    }
    dx[i] = sum;
  }
}

}  // namespace paceline::cuda
