#include "kernels/cuda/backend.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/low_rank.cuh"
#include "kernels/cuda/pointwise_launch.cuh"
#include "kernels/cuda/quantize.cuh"

namespace paceline::cuda {

using Floats = std::span<const float>;

Cuda::Cuda(int device)
    : context_(device), info_(read_device_info(device)), results_(sizeof(Results)) {
  int cooperative = 0;
  PACELINE_CHECK(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device));
  if (cooperative == 0) {
    throw std::runtime_error(
        "GPU " + std::to_string(device) + " (" + info_.name +
        ") cannot run cooperative kernels; compute capability 6.0 or newer is needed");
  }
  grids_ = select_grids(context_.multiprocessors());
}

std::string Cuda::description() const {
  std::string text = info_.name + " (compute capability " + std::to_string(info_.compute_major) +
                     "." + std::to_string(info_.compute_minor) + "), CUDA " + info_.cuda_runtime +
                     ", cuBLAS " + info_.cublas;
  if (!info_.cudnn.empty()) text += ", cuDNN " + info_.cudnn;
  return text + ", convolution by " + info_.engine +
         (context_.tf32() ? ", TF32 allowed" : ", fp32 (FMA)");
}

// Memory and layers

void* Cuda::allocate(std::size_t bytes) {
  context_.stream();
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<std::size_t>(bytes, 1)),
        "allocating " + std::to_string(bytes) + " bytes on " + info_.name);
  return memory;
}
void Cuda::release(void* memory) noexcept {
  cudaFree(memory);
}
void Cuda::copy_from_host(void* to, const void* host, std::size_t bytes) {
  if (bytes == 0) return;
  PACELINE_CHECK(cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, context_.stream()));
}
void Cuda::copy_to_host(void* host, const void* from, std::size_t bytes) {
  if (bytes > 0)
    PACELINE_CHECK(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, context_.stream()));
  context_.synchronize();
}
void Cuda::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  PACELINE_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, context_.stream()));
}
void Cuda::fill(float value, std::span<float> x) {
  return named("fill", {{"n", x.size()}}, [&] {
    pointwise<Fill, 0, 1>(context_, {value}, {{}, {x.data()}}, x.size());
  });
}
std::unique_ptr<kernels::Layer> Cuda::make_layer(const kernels::LayerShape& shape) {
  kernels::check_shape(shape);
  context_.stream();
  return cuda::make_layer(context_, shape);
}
std::unique_ptr<kernels::Activation> Cuda::make_activation(const kernels::Dims& dims) {
  context_.stream();
  return std::make_unique<CudaActivation>(dims);
}
void Cuda::write(Floats host, kernels::Activation& activation) {
  if (host.size() != static_cast<CudaActivation&>(activation).size()) {
    throw std::invalid_argument("an activation of " +
                                std::to_string(static_cast<CudaActivation&>(activation).size()) +
                                " elements cannot be written from " + std::to_string(host.size()));
  }
  copy_from_host(values(activation), host.data(), host.size_bytes());
}
void Cuda::read(const kernels::Activation& activation, std::span<float> host) {
  if (host.size() != static_cast<const CudaActivation&>(activation).size()) {
    throw std::invalid_argument(
        "an activation of " +
        std::to_string(static_cast<const CudaActivation&>(activation).size()) +
        " elements cannot be read into " + std::to_string(host.size()));
  }
  copy_to_host(host.data(), values(activation), host.size_bytes());
}
void Cuda::accumulate(const kernels::Activation& term, kernels::Activation& sum) {
  return named("accumulate", {{"n", static_cast<const CudaActivation&>(term).size()}}, [&] {
    const auto n = static_cast<const CudaActivation&>(term).size();
    pointwise<Add, 2, 1>(context_, {}, {{values(sum), values(term)}, {values(sum)}}, n);
  });
}

// kernels/optimizer.hpp, kernels/blend.hpp

void Cuda::sgd_step(const kernels::SgdOptions& o, Floats gradient, std::span<float> velocity,
                    std::span<float> weights) {
  return named("sgd_step", {{"n", weights.size()}}, [&] {
    const auto rate = static_cast<float>(o.learning_rate);
    const auto momentum = static_cast<float>(o.momentum);
    const auto decay = static_cast<float>(o.weight_decay);
    if (momentum == 0) {
      pointwise<Sgd, 2, 1>(context_, {rate, decay},
                           {{gradient.data(), weights.data()}, {weights.data()}}, weights.size());
    } else {
      pointwise<MomentumSgd, 3, 2>(
          context_, {rate, momentum, decay, o.nesterov},
          {{gradient.data(), velocity.data(), weights.data()}, {velocity.data(), weights.data()}},
          weights.size());
    }
  });
}
void Cuda::adamw_step(const kernels::AdamWOptions& o, std::int64_t step, Floats gradient,
                      std::span<float> mean, std::span<float> square, std::span<float> weights) {
  return named("adamw_step", {{"n", weights.size()}}, [&] {
    const double mean_bias = 1 - std::pow(o.beta1, static_cast<double>(step));
    const double square_bias = 1 - std::pow(o.beta2, static_cast<double>(step));
    const AdamW op{static_cast<float>(o.beta1),
                   static_cast<float>(o.beta2),
                   static_cast<float>(1 - o.beta1),
                   static_cast<float>(1 - o.beta2),
                   static_cast<float>(o.learning_rate / mean_bias),
                   static_cast<float>(std::sqrt(square_bias)),
                   static_cast<float>(o.epsilon),
                   static_cast<float>(1 - o.learning_rate * o.weight_decay)};
    pointwise<AdamW, 4, 3>(context_, op,
                           {{gradient.data(), mean.data(), square.data(), weights.data()},
                            {mean.data(), square.data(), weights.data()}},
                           weights.size());
  });
}
double Cuda::sum_of_squares(Floats x) {
  return named("sum_of_squares", {{"n", x.size()}}, [&]() -> double {
    const unsigned blocks = sum_blocks_of(x.size());
    PACELINE_LAUNCH(context_.stream(), blocks, vector_threads, (moments_kernel), x.data(), x.size(),
                    results()->partial);
    PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), results()->partial,
                    blocks, &results()->total);
    return fetch(&results()->total).square;
  });
}
double Cuda::clip_norm(double limit, std::span<float> x) {
  return named("clip_norm", {{"n", x.size()}}, [&]() -> double {
    const double norm = std::sqrt(sum_of_squares(x));
    if (norm > limit && std::isfinite(norm)) scale(limit / norm, x);
    return norm;
  });
}
void Cuda::axpy(double a, Floats x, std::span<float> y) {
  return named("axpy", {{"n", y.size()}}, [&] {
    pointwise<Axpy, 2, 1>(context_, {static_cast<float>(a)}, {{x.data(), y.data()}, {y.data()}},
                          y.size());
  });
}
void Cuda::scale(double a, std::span<float> x) {
  return named("scale", {{"n", x.size()}}, [&] {
    pointwise<Scale, 1, 1>(context_, {static_cast<float>(a)}, {{x.data()}, {x.data()}}, x.size());
  });
}
void Cuda::subtract(Floats a, Floats b, std::span<float> out) {
  return named("subtract", {{"n", out.size()}}, [&] {
    pointwise<Subtract, 2, 1>(context_, {}, {{a.data(), b.data()}, {out.data()}}, out.size());
  });
}
void Cuda::interpolate(double a, Floats z, std::span<float> x) {
  return named("interpolate", {{"n", x.size()}}, [&] {
    pointwise<Interpolate, 2, 1>(context_, {static_cast<float>(a)},
                                 {{z.data(), x.data()}, {x.data()}}, x.size());
  });
}
void Cuda::add_progress(Floats mean, Floats start, std::span<float> x) {
  return named("add_progress", {{"n", x.size()}}, [&] {
    pointwise<AddProgress, 3, 1>(context_, {}, {{mean.data(), start.data(), x.data()}, {x.data()}},
                                 x.size());
  });
}
void Cuda::delay_compensate(double lambda, Floats gradient, Floats weights, Floats backup,
                            std::span<float> out) {
  return named("delay_compensate", {{"n", out.size()}}, [&] {
    pointwise<DelayCompensate, 3, 1>(
        context_, {static_cast<float>(lambda)},
        {{gradient.data(), weights.data(), backup.data()}, {out.data()}}, out.size());
  });
}
void Cuda::delay_compensate_adaptive(double lambda, double decay, Floats gradient, Floats weights,
                                     Floats backup, std::span<float> square, std::span<float> out) {
  return named("delay_compensate_adaptive", {{"n", out.size()}}, [&] {
    pointwise<DelayCompensateAdaptive, 4, 2>(
        context_,
        {static_cast<float>(lambda), static_cast<float>(decay), static_cast<float>(1 - decay)},
        {{gradient.data(), weights.data(), backup.data(), square.data()},
         {out.data(), square.data()}},
        out.size());
  });
}
void Cuda::od_sgd_local_update(const kernels::OdSgdOptions& o, Floats gradient, Floats weights,
                               Floats previous, std::span<float> local) {
  return named("od_sgd_local_update", {{"n", local.size()}}, [&] {
    pointwise<OdSgdLocalUpdate, 3, 1>(
        context_,
        {static_cast<float>(o.learning_rate), static_cast<float>(o.weight_decay),
         static_cast<float>(o.lambda), static_cast<float>(o.rescale)},
        {{gradient.data(), weights.data(), previous.data()}, {local.data()}}, local.size());
  });
}

// kernels/quantize.hpp

void Cuda::two_bit_quantize(double threshold, Floats gradient, std::span<float> residual,
                            std::span<std::uint32_t> codes) {
  return named("two_bit_quantize", {{"n", gradient.size()}}, [&] {
    if (gradient.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(gradient.size()), vector_threads,
                    (two_bit_quantize_kernel), static_cast<float>(threshold), gradient.data(),
                    residual.data(), gradient.size(), codes.data());
  });
}
void Cuda::two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                              std::span<float> out) {
  return named("two_bit_dequantize", {{"n", out.size()}}, [&] {
    if (out.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                    (two_bit_dequantize_kernel), static_cast<float>(threshold), codes.data(),
                    out.size(), out.data());
  });
}
float Cuda::sign_quantize(Floats gradient, std::span<float> residual,
                          std::span<std::uint32_t> codes) {
  return named("sign_quantize", {{"n", gradient.size()}}, [&]() -> float {
    if (gradient.empty()) return 0;
    float* scale = &results()->number;
    const unsigned blocks = sum_blocks_of(gradient.size());
    PACELINE_LAUNCH(context_.stream(), blocks, vector_threads, (accumulate_magnitude_kernel),
                    gradient.data(), residual.data(), gradient.size(), results()->partial);
    PACELINE_LAUNCH(context_.stream(), 1, sum_blocks, (sum_moments_kernel), results()->partial,
                    blocks, &results()->total);
    PACELINE_LAUNCH(context_.stream(), context_.blocks(gradient.size()), vector_threads,
                    (sign_quantize_kernel), &results()->total, residual.data(), gradient.size(),
                    codes.data(), scale);
    return fetch(scale);
  });
}
void Cuda::sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                           std::span<float> out) {
  return named("sign_dequantize", {{"n", out.size()}}, [&] {
    if (out.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                    (sign_dequantize_kernel), scale, codes.data(), out.size(), out.data());
  });
}
void Cuda::pack_fp16(Floats in, std::span<std::uint16_t> packed) {
  return named("pack_fp16", {{"n", in.size()}}, [&] {
    if (in.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks((in.size() + 1) / 2), vector_threads,
                    (pack_fp16_kernel), in.data(), in.size(), packed.data());
  });
}
void Cuda::unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> out) {
  return named("unpack_fp16", {{"n", out.size()}}, [&] {
    if (out.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(out.size()), vector_threads,
                    (unpack_fp16_kernel), packed.data(), out.size(), out.data());
  });
}

// kernels/low_rank.hpp: row-major products through cuBLAS, which counts by columns

void Cuda::low_rank_left(const kernels::MatrixShape& s, Floats m, Floats q, std::span<float> p) {
  return named("low_rank_left",
               {{"rows", static_cast<std::size_t>(s.rows)},
                {"columns", static_cast<std::size_t>(s.columns)},
                {"rank", static_cast<std::size_t>(s.rank)}},
               [&] {
                 row_major_product(context_, false, false, s.rows, s.rank, s.columns, m.data(),
                                   q.data(), 0.0f, p.data());
               });
}
void Cuda::low_rank_right(const kernels::MatrixShape& s, Floats m, Floats p, std::span<float> q) {
  return named("low_rank_right",
               {{"rows", static_cast<std::size_t>(s.rows)},
                {"columns", static_cast<std::size_t>(s.columns)},
                {"rank", static_cast<std::size_t>(s.rank)}},
               [&] {
                 row_major_product(context_, true, false, s.columns, s.rank, s.rows, m.data(),
                                   p.data(), 0.0f, q.data());
               });
}
void Cuda::low_rank_reconstruct(const kernels::MatrixShape& s, Floats p, Floats q,
                                std::span<float> m) {
  return named("low_rank_reconstruct",
               {{"rows", static_cast<std::size_t>(s.rows)},
                {"columns", static_cast<std::size_t>(s.columns)},
                {"rank", static_cast<std::size_t>(s.rank)}},
               [&] {
                 row_major_product(context_, false, true, s.rows, s.columns, s.rank, p.data(),
                                   q.data(), 0.0f, m.data());
               });
}
void Cuda::orthonormalize(const kernels::MatrixShape& s, std::span<float> p) {
  return named("orthonormalize",
               {{"rows", static_cast<std::size_t>(s.rows)},
                {"columns", static_cast<std::size_t>(s.columns)},
                {"rank", static_cast<std::size_t>(s.rank)}},
               [&] {
                 if (s.rows < 1 || s.rank < 1) return;
                 PACELINE_LAUNCH(context_.stream(), 1, orthonormalize_threads,
                                 (orthonormalize_kernel), static_cast<std::size_t>(s.rows),
                                 static_cast<std::size_t>(s.rank), p.data());
               });
}

}  // namespace paceline::cuda
