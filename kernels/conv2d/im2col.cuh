#pragma once

// Convolution as matrix products.

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

struct ConvGeometry {
  int channels, height, width, out_height, out_width;
  int kernel_height, kernel_width, stride_height, stride_width, pad_height, pad_width;
};

/// columns[image][channel][ky][kx][out_y][out_x] of `images` images of g.channels channels each,
/// the channels of one group; `image_stride` elements lie between images of x.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    im2col_kernel(const float* x, ConvGeometry g, std::size_t image_stride, std::size_t n,
                  float* columns) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    std::size_t rest = i;
    const int column = static_cast<int>(rest % g.out_width);
    rest /= g.out_width;
    const int row = static_cast<int>(rest % g.out_height);
    rest /= g.out_height;
    const int kx = static_cast<int>(rest % g.kernel_width);
    rest /= g.kernel_width;
    const int ky = static_cast<int>(rest % g.kernel_height);
    rest /= g.kernel_height;
    const std::size_t channel = rest % g.channels;
    const int y = row * g.stride_height - g.pad_height + ky;
    const int xx = column * g.stride_width - g.pad_width + kx;
    const bool inside = y >= 0 && y < g.height && xx >= 0 && xx < g.width;
    columns[i] = inside
                     ? x[rest / g.channels * image_stride + (channel * g.height + y) * g.width + xx]
                     : 0.0f;
  }
}

/// The transpose: every pixel collects its places in the columns, in kernel order. n = images *
/// channels * height * width.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    col2im_kernel(const float* columns, ConvGeometry g, std::size_t image_stride, std::size_t n,
                  float* dx) {
  const std::size_t pixels = static_cast<std::size_t>(g.out_height) * g.out_width;
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    const int column = static_cast<int>(i % g.width);
    const int row = static_cast<int>(i / g.width % g.height);
    const std::size_t channel = i / g.width / g.height % g.channels;
    const std::size_t image = i / g.width / g.height / g.channels;
    float sum = 0;
    for (int ky = 0; ky < g.kernel_height; ++ky) {
      const int y = row + g.pad_height - ky;
      if (y < 0 || y % g.stride_height != 0 || y / g.stride_height >= g.out_height) continue;
      for (int kx = 0; kx < g.kernel_width; ++kx) {
        const int x = column + g.pad_width - kx;
        if (x < 0 || x % g.stride_width != 0 || x / g.stride_width >= g.out_width) continue;
        const std::size_t place =
            ((image * g.channels + channel) * g.kernel_height + ky) * g.kernel_width + kx;
        sum +=
            columns[place * pixels + static_cast<std::size_t>(y / g.stride_height) * g.out_width +
                    x / g.stride_width];
      }
    }
    dx[image * image_stride + (channel * g.height + row) * g.width + column] = sum;
  }
}

}  // namespace paceline::cuda
