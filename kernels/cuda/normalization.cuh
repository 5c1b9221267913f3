#pragma once

// Batch, layer and local response normalisation.

#include "kernels/cuda/layers.cuh"

namespace paceline::cuda {

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

// Layer normalisation: a block per row

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

// Local response normalisation

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
