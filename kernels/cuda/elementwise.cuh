#pragma once

// Pooling, sums of activations, shortcuts, dropout.

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

/// Philox4x32-10 as kernels/random.hpp has it: words 0 to 3 of block `index` of the stream (seed,
/// stream).
__device__ inline uint4 random_words(std::uint64_t seed, std::uint64_t stream,
                                     std::uint64_t index) {
  std::uint32_t c[4] = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                        static_cast<std::uint32_t>(stream),
                        static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t key_a = static_cast<std::uint32_t>(seed);
  std::uint32_t key_b = static_cast<std::uint32_t>(seed >> 32);
  PACELINE_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2];
    const std::uint32_t first = static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ key_a;
    const std::uint32_t third = static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ key_b;
    c[0] = first;
    c[1] = static_cast<std::uint32_t>(b);
    c[2] = third;
    c[3] = static_cast<std::uint32_t>(a);
    key_a += 0x9E3779B9u;
    key_b += 0xBB67AE85u;
  }
  return make_uint4(c[0], c[1], c[2], c[3]);
}

/// y = kept ? factor * x : 0, four elements per thread; `limit` = probability * 2^32. Backward
/// draws the same words again rather than reading a mask.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    dropout_kernel(const float* x, std::size_t n, std::uint64_t seed, std::uint64_t layer,
                   std::uint64_t limit, float factor, float* y) {
  for (std::size_t q = thread_number(); q < (n + 3) / 4; q += thread_total()) {
    const uint4 words = random_words(seed, layer, q);
    const std::uint32_t word[4] = {words.x, words.y, words.z, words.w};
    PACELINE_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (4 * q + j < n) y[4 * q + j] = word[j] >= limit ? factor * x[4 * q + j] : 0.0f;
    }
  }
}

}  // namespace paceline::cuda
