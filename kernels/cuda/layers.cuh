#pragma once

// Kernels of the layers, all arrays plain row-major fp32, images as [batch, channels, height,
// width]. Sums are taken in a fixed order everywhere (no floating-point atomics): the same bits
// every run.

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/fault.hpp"
#include "kernels/cuda/vector.cuh"

namespace paceline::cuda {

constexpr unsigned layer_threads = 256;

__device__ inline std::size_t thread_number() {
  return static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::size_t thread_total() {
  return static_cast<std::size_t>(gridDim.x) * blockDim.x;
}

// ---- bias
// -------------------------------------------------------------------------------------------------

/// y[outer][channel][inner] += bias[channel]
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    add_bias_kernel(const float* bias, std::size_t channels, std::size_t inner, std::size_t n,
                    float* y) {
  for (std::size_t i = thread_number(); i < n; i += thread_total())
    y[i] += bias[i / inner % channels];
}

/// sums[channel] = sum over outer and inner of x[outer][channel][inner]; a block per channel.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    channel_sums_kernel(const float* x, std::size_t outer, std::size_t channels, std::size_t inner,
                        float* sums) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t channel = blockIdx.x;
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < outer * inner; i += layer_threads) {
    sum += x[(i / inner * channels + channel) * inner + i % inner];
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[channel] = static_cast<float>(sum);
}

struct ColumnScratch {
  float sums[8][33];
};
/// sums[column] = sum over rows of x[row][column]; a block per 32 columns.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    column_sums_kernel(const float* x, std::size_t rows, std::size_t columns, float* sums) {
  PACELINE_SHARED(ColumnScratch, s);
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * 32 + lane_index();
  float sum = 0;
  if (column < columns) {
    for (std::size_t row = warp_in_block(); row < rows; row += 8) sum += x[row * columns + column];
  }
  s.sums[warp_in_block()][lane_index()] = sum;
  __syncthreads();
  if (warp_in_block() == 0 && column < columns) {
    for (int w = 1; w < 8; ++w) sum += s.sums[w][lane_index()];
    sums[column] = sum;
  }
}

// ---- batch normalisation
// ----------------------------------------------------------------------------------

struct Plane {
  std::uint32_t batch, channels, pixels;
  __device__ std::uint32_t per_channel() const { return batch * pixels; }
  /// Position of the i-th element of a channel.
  __device__ std::size_t at(std::uint32_t channel, std::uint32_t i) const {
    return (static_cast<std::size_t>(i / pixels) * channels + channel) * pixels + i % pixels;
  }
  __device__ std::size_t size() const {
    return static_cast<std::size_t>(batch) * channels * pixels;
  }
};

/// Per channel (blockIdx.x) and part (blockIdx.y): sums of x - pivot and of its square. The pivot
/// is the channel's first element, so that a mean far from zero costs no digits.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    batch_norm_moments_kernel(const float* x, Plane plane, Moments* partial) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::uint32_t channel = blockIdx.x;
  const float pivot = x[plane.at(channel, 0)];
  float sum = 0;
  float square = 0;
  for (std::uint32_t i = blockIdx.y * layer_threads + threadIdx.x; i < plane.per_channel();
       i += gridDim.y * layer_threads) {
    const float d = x[plane.at(channel, i)] - pivot;
    sum += d;
    square += d * d;
  }
  const double total = block_sum(static_cast<double>(sum), scratch);
  const double squares = block_sum(static_cast<double>(square), scratch);
  if (threadIdx.x == 0) partial[channel * gridDim.y + blockIdx.y] = {total, squares};
}

/// A thread per channel: mean, 1/sqrt(variance + epsilon), and the running statistics (with the
/// unbiased variance, as PyTorch does).
PACELINE_KERNEL void batch_norm_statistics_kernel(const float* x, Plane plane,
                                                  const Moments* partial, unsigned parts,
                                                  double epsilon, double momentum, float* mean,
                                                  float* inverse, float* running_mean,
                                                  float* running_variance) {
  const auto channel = static_cast<std::uint32_t>(thread_number());
  if (channel >= plane.channels) return;
  double sum = 0;
  double square = 0;
  for (unsigned p = 0; p < parts; ++p) {
    sum += partial[channel * parts + p].sum;
    square += partial[channel * parts + p].square;
  }
  const double count = plane.per_channel();
  const double pivot = x[plane.at(channel, 0)];
  const double shift = sum / count;
  const double variance = square / count - shift * shift > 0 ? square / count - shift * shift : 0.0;
  mean[channel] = static_cast<float>(pivot + shift);
  inverse[channel] = static_cast<float>(1.0 / sqrt(variance + epsilon));
  if (running_mean != nullptr) {
    running_mean[channel] =
        static_cast<float>((1 - momentum) * running_mean[channel] + momentum * (pivot + shift));
    if (count > 1) {
      running_variance[channel] = static_cast<float>((1 - momentum) * running_variance[channel] +
                                                     momentum * variance * count / (count - 1));
    }
  }
}

/// inverse = 1/sqrt(variance + epsilon), for inference.
PACELINE_KERNEL void inverse_deviation_kernel(const float* variance, std::size_t channels,
                                              double epsilon, float* inverse) {
  const std::size_t channel = thread_number();
  if (channel < channels)
    inverse[channel] = static_cast<float>(1.0 / sqrt(variance[channel] + epsilon));
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    batch_norm_apply_kernel(const float* x, Plane plane, const float* mean, const float* inverse,
                            const float* scale, const float* shift, bool relu, float* y) {
  for (std::size_t i = thread_number(); i < plane.size(); i += thread_total()) {
    const auto channel = static_cast<std::uint32_t>(i / plane.pixels % plane.channels);
    const float value = (x[i] - mean[channel]) * inverse[channel] * scale[channel] + shift[channel];
    y[i] = relu && value < 0.0f ? 0.0f : value;
  }
}

/// The gradient that passes the ReLU backwards; a NaN lets it pass, as it shows itself forwards.
__device__ inline float through_relu(bool relu, float y, float dy) {
  return relu && y <= 0.0f ? 0.0f : dy;
}

/// Per channel and part: sums of dy and of dy * x^, x^ the normalised input.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    batch_norm_gradient_sums_kernel(const float* x, const float* y, const float* dy, Plane plane,
                                    const float* mean, const float* inverse, bool relu,
                                    Moments* partial) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::uint32_t channel = blockIdx.x;
  float sum = 0;
  float product = 0;
  for (std::uint32_t i = blockIdx.y * layer_threads + threadIdx.x; i < plane.per_channel();
       i += gridDim.y * layer_threads) {
    const std::size_t at = plane.at(channel, i);
    const float d = through_relu(relu, relu ? y[at] : 1.0f, dy[at]);
    sum += d;
    product += d * ((x[at] - mean[channel]) * inverse[channel]);
  }
  const double total = block_sum(static_cast<double>(sum), scratch);
  const double products = block_sum(static_cast<double>(product), scratch);
  if (threadIdx.x == 0) partial[channel * gridDim.y + blockIdx.y] = {total, products};
}

/// A thread per channel: d_shift = sum dy, d_scale = sum dy * x^.
PACELINE_KERNEL void batch_norm_parameter_gradients_kernel(const Moments* partial, unsigned parts,
                                                           std::size_t channels, float* d_scale,
                                                           float* d_shift) {
  const std::size_t channel = thread_number();
  if (channel >= channels) return;
  double sum = 0;
  double product = 0;
  for (unsigned p = 0; p < parts; ++p) {
    sum += partial[channel * parts + p].sum;
    product += partial[channel * parts + p].square;
  }
  d_shift[channel] = static_cast<float>(sum);
  d_scale[channel] = static_cast<float>(product);
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    batch_norm_input_gradient_kernel(const float* x, const float* y, const float* dy, Plane plane,
                                     const float* mean, const float* inverse, const float* scale,
                                     const float* d_scale, const float* d_shift, bool relu,
                                     float* dx) {
  const float share = 1.0f / static_cast<float>(plane.per_channel());
  for (std::size_t i = thread_number(); i < plane.size(); i += thread_total()) {
    const auto c = static_cast<std::uint32_t>(i / plane.pixels % plane.channels);
    const float d = through_relu(relu, relu ? y[i] : 1.0f, dy[i]);
    const float normalised = (x[i] - mean[c]) * inverse[c];
    dx[i] = scale[c] * inverse[c] * (d - share * d_shift[c] - normalised * share * d_scale[c]);
  }
}

// ---- layer normalisation: a block per row
// -----------------------------------------------------------------

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_kernel(const float* x, std::size_t features, double epsilon, const float* scale,
                      const float* shift, float* mean, float* inverse, float* y) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const float* row = x + blockIdx.x * features;
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) sum += row[i];
  const double m = block_sum(sum, scratch) / static_cast<double>(features);
  double square = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads)
    square += (row[i] - m) * (row[i] - m);
  const double variance = block_sum(square, scratch) / static_cast<double>(features);
  const auto inv = static_cast<float>(1.0 / sqrt(variance + epsilon));
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    y[blockIdx.x * features + i] = (row[i] - static_cast<float>(m)) * inv * scale[i] + shift[i];
  }
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = static_cast<float>(m);
    inverse[blockIdx.x] = inv;
  }
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_input_gradient_kernel(const float* x, const float* dy, std::size_t features,
                                     const float* scale, const float* mean, const float* inverse,
                                     float* dx) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  const std::size_t base = blockIdx.x * features;
  const float m = mean[blockIdx.x];
  const float inv = inverse[blockIdx.x];
  double sum = 0;
  double product = 0;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    const float d = dy[base + i] * scale[i];
    sum += d;
    product += d * ((x[base + i] - m) * inv);
  }
  const auto mean_d = static_cast<float>(block_sum(sum, scratch) / static_cast<double>(features));
  const auto mean_product =
      static_cast<float>(block_sum(product, scratch) / static_cast<double>(features));
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    const float normalised = (x[base + i] - m) * inv;
    dx[base + i] = inv * (dy[base + i] * scale[i] - mean_d - normalised * mean_product);
  }
}

struct TwoColumnScratch {
  float scale[8][33];
  float shift[8][33];
};
/// A block per 32 features: d_scale = sum over rows of dy * x^, d_shift = sum of dy.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    layer_norm_parameter_gradients_kernel(const float* x, const float* dy, std::size_t rows,
                                          std::size_t features, const float* mean,
                                          const float* inverse, float* d_scale, float* d_shift) {
  PACELINE_SHARED(TwoColumnScratch, s);
  const std::size_t column = static_cast<std::size_t>(blockIdx.x) * 32 + lane_index();
  float scale = 0;
  float shift = 0;
  if (column < features) {
    for (std::size_t row = warp_in_block(); row < rows; row += 8) {
      const float d = dy[row * features + column];
      shift += d;
      scale += d * ((x[row * features + column] - mean[row]) * inverse[row]);
    }
  }
  s.scale[warp_in_block()][lane_index()] = scale;
  s.shift[warp_in_block()][lane_index()] = shift;
  __syncthreads();
  if (warp_in_block() == 0 && column < features) {
    for (int w = 1; w < 8; ++w) {
      scale += s.scale[w][lane_index()];
      shift += s.shift[w][lane_index()];
    }
    d_scale[column] = scale;
    d_shift[column] = shift;
  }
}

// ---- pooling
// ----------------------------------------------------------------------------------------------

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

// ---- local response normalisation
// -------------------------------------------------------------------------

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

// ---- sums of activations, shortcuts, dropout
// --------------------------------------------------------------

constexpr int add_inputs = 8;
struct AddInputs {
  const float* in[add_inputs];
  int count;
};
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    add_kernel(AddInputs inputs, std::size_t n, bool relu, float* y) {
  for (std::size_t i = thread_number(); i < n; i += thread_total()) {
    float sum = inputs.in[0][i];
    for (int t = 1; t < inputs.count; ++t) sum += inputs.in[t][i];
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

// ---- embedding
// --------------------------------------------------------------------------------------------

/// blockIdx.x = row.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_kernel(const float* tokens, const float* table, std::size_t entries,
                     std::size_t features, float* y, Fault* fault) {
  const std::size_t token = checked_index(tokens[blockIdx.x], entries, 1, fault);
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    y[blockIdx.x * features + i] = table[token * features + i];
  }
}

/// A block per row: the first row of a token adds up all rows of it, in order; the others do
/// nothing. The table's gradient is zero before.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    embedding_gradient_kernel(const float* tokens, const float* dy, std::size_t rows,
                              std::size_t entries, std::size_t features, float* d_table,
                              Fault* fault) {
  PACELINE_SHARED(BlockScratch<std::uint32_t>, scratch);
  const float token = tokens[blockIdx.x];
  std::uint32_t earlier = 0;
  for (std::size_t r = threadIdx.x; r < blockIdx.x; r += layer_threads)
    earlier += tokens[r] == token ? 1u : 0u;
  if (block_sum(earlier, scratch) > 0) return;
  float* row = d_table + checked_index(token, entries, 1, fault) * features;
  for (std::size_t i = threadIdx.x; i < features; i += layer_threads) {
    float sum = 0;
    for (std::size_t r = blockIdx.x; r < rows; ++r) {
      if (tokens[r] == token) sum += dy[r * features + i];
    }
    row[i] = sum;
  }
}

// ---- softmax and cross-entropy
// ----------------------------------------------------------------------------

/// A block per row: loss, whether the first largest logit is the label's, and max and log-sum for
/// backward.
struct BestLogit {
  float value;
  std::uint32_t index;
};
struct SoftmaxScratch {
  BestLogit best[33];
  BlockScratch<double> sum;
};
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    softmax_loss_kernel(const float* logits, const float* labels, std::size_t classes,
                        float* row_loss, float* row_correct, float* row_max, float* row_log_sum,
                        Fault* fault) {
  PACELINE_SHARED(SoftmaxScratch, s);
  const float* row = logits + blockIdx.x * classes;
  BestLogit best{-INFINITY, 0xffffffffu};
  for (std::size_t i = threadIdx.x; i < classes; i += layer_threads) {
    if (row[i] > best.value) best = {row[i], static_cast<std::uint32_t>(i)};
  }
  const auto better = [](BestLogit a, BestLogit b) {
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  };
  for (int offset = 16; offset > 0; offset >>= 1) {
    const BestLogit other{__shfl_xor_sync(all_lanes, best.value, offset),
                          __shfl_xor_sync(all_lanes, best.index, offset)};
    best = better(best, other);
  }
  if (lane_index() == 0) s.best[warp_in_block()] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned w = 1; w < layer_threads / 32; ++w) best = better(best, s.best[w]);
    s.best[32] = best;
  }
  __syncthreads();
  best = s.best[32];
  // A row of NaN has no best: let the NaN through to the loss.
  if (best.index == 0xffffffffu) best.value = row[0];
  double sum = 0;
  for (std::size_t i = threadIdx.x; i < classes; i += layer_threads)
    sum += expf(row[i] - best.value);
  sum = block_sum(sum, s.sum);
  if (threadIdx.x == 0) {
    const std::size_t label = checked_index(labels[blockIdx.x], classes, 2, fault);
    const auto log_sum = static_cast<float>(log(sum));
    row_loss[blockIdx.x] = log_sum - (row[label] - best.value);
    row_correct[blockIdx.x] = best.index == label ? 1.0f : 0.0f;
    row_max[blockIdx.x] = best.value;
    row_log_sum[blockIdx.x] = log_sum;
  }
}

/// One block: output = {mean of row_loss, sum of row_correct}.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    loss_means_kernel(const float* row_loss, const float* row_correct, std::size_t rows,
                      float* output) {
  PACELINE_SHARED(BlockScratch<double>, scratch);
  double loss = 0;
  double correct = 0;
  for (std::size_t r = threadIdx.x; r < rows; r += layer_threads) {
    loss += row_loss[r];
    correct += row_correct[r];
  }
  loss = block_sum(loss, scratch);
  correct = block_sum(correct, scratch);
  if (threadIdx.x == 0) {
    output[0] = static_cast<float>(loss / static_cast<double>(rows));
    output[1] = static_cast<float>(correct);
  }
}

PACELINE_KERNEL void __launch_bounds__(layer_threads)
    softmax_gradient_kernel(const float* logits, const float* labels, const float* row_max,
                            const float* row_log_sum, const float* weight, std::size_t rows,
                            std::size_t classes, float* d_logits) {
  const float scale = weight[0] / static_cast<float>(rows);
  for (std::size_t i = thread_number(); i < rows * classes; i += thread_total()) {
    const std::size_t row = i / classes;
    const float p = expf(logits[i] - row_max[row] - row_log_sum[row]);
    const float target = i % classes == static_cast<std::size_t>(labels[row]) ? 1.0f : 0.0f;
    d_logits[i] = (p - target) * scale;
  }
}

// ---- LSTM
// -------------------------------------------------------------------------------------------------

__device__ inline float logistic(float x) {
  return 1.0f / (1.0f + expf(-x));
}

struct LstmGeometry {
  std::size_t batch, steps, hidden;
};

/// Step t, a thread per (sample, unit): gates [batch, steps, 4 hidden] hold W x + U h and become i,
/// f, g, o.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_step_kernel(LstmGeometry g, std::size_t t, const float* bias_a, const float* bias_b,
                     const float* first_cell, float* gates, float* cells, float* output) {
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t sample = n / g.hidden;
    const std::size_t unit = n % g.hidden;
    const std::size_t step = sample * g.steps + t;
    float* gate = gates + step * 4 * g.hidden + unit;
    float in[4];
    PACELINE_UNROLL
    for (int q = 0; q < 4; ++q) {
      in[q] = gate[q * g.hidden];
      if (bias_a != nullptr) in[q] += bias_a[q * g.hidden + unit];
      if (bias_b != nullptr) in[q] += bias_b[q * g.hidden + unit];
    }
    const float i = logistic(in[0]);
    const float f = logistic(in[1]);
    const float c = tanhf(in[2]);
    const float o = logistic(in[3]);
    const float before = t == 0 ? first_cell[n] : cells[(step - 1) * g.hidden + unit];
    const float cell = f * before + i * c;
    gate[0] = i;
    gate[g.hidden] = f;
    gate[2 * g.hidden] = c;
    gate[3 * g.hidden] = o;
    cells[step * g.hidden + unit] = cell;
    output[step * g.hidden + unit] = o * tanhf(cell);
  }
}

/// Step t of backward: gates become the gradients of their inputs. `d_hidden` [batch, hidden] is
/// what comes from step t+1 through U (not read at the last step); `d_cell` [batch, hidden]
/// likewise, updated.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_step_gradient_kernel(LstmGeometry g, std::size_t t, const float* output_gradient,
                              const float* first_cell, const float* cells, const float* d_hidden,
                              float* d_cell, float* gates) {
  const bool last = t + 1 == g.steps;
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t sample = n / g.hidden;
    const std::size_t unit = n % g.hidden;
    const std::size_t step = sample * g.steps + t;
    float* gate = gates + step * 4 * g.hidden + unit;
    const float i = gate[0];
    const float f = gate[g.hidden];
    const float c = gate[2 * g.hidden];
    const float o = gate[3 * g.hidden];
    const float squashed = tanhf(cells[step * g.hidden + unit]);
    const float before = t == 0 ? first_cell[n] : cells[(step - 1) * g.hidden + unit];
    const float dh = output_gradient[step * g.hidden + unit] + (last ? 0.0f : d_hidden[n]);
    const float dc = (last ? 0.0f : d_cell[n]) + dh * o * (1.0f - squashed * squashed);
    d_cell[n] = dc * f;
    gate[0] = dc * c * i * (1.0f - i);
    gate[g.hidden] = dc * before * f * (1.0f - f);
    gate[2 * g.hidden] = dc * i * (1.0f - c * c);
    gate[3 * g.hidden] = dh * squashed * o * (1.0f - o);
  }
}

/// previous[b][t] = t == 0 ? first[b] : output[b][t-1]
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_previous_kernel(LstmGeometry g, const float* first, const float* output, float* previous) {
  for (std::size_t n = thread_number(); n < g.batch * g.steps * g.hidden; n += thread_total()) {
    const std::size_t unit = n % g.hidden;
    const std::size_t t = n / g.hidden % g.steps;
    const std::size_t sample = n / g.hidden / g.steps;
    previous[n] = t == 0 ? first[sample * g.hidden + unit] : output[n - g.hidden];
  }
}

/// state = {h, c} after the last step.
PACELINE_KERNEL void __launch_bounds__(layer_threads)
    lstm_state_kernel(LstmGeometry g, const float* output, const float* cells, float* state) {
  for (std::size_t n = thread_number(); n < g.batch * g.hidden; n += thread_total()) {
    const std::size_t at = (n / g.hidden * g.steps + g.steps - 1) * g.hidden + n % g.hidden;
    state[n] = output[at];
    state[g.batch * g.hidden + n] = cells[at];
  }
}

// ---- convolution as matrix products
// -----------------------------------------------------------------------

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
