#pragma once

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

}  // namespace paceline::cuda
