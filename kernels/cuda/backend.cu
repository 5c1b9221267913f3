#include "kernels/cuda/backend.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <tuple>

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
  apply(kernels::Fill{value}, {}, {x});
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
    axpy(1, {values(term), n}, {values(sum), n});
  });
}

// kernels/operations

namespace {

template <class Op>
void launch(Context& context, const kernels::PointwiseCall& call, kernels::Inputs in,
            kernels::Outputs out) {
  constexpr int reads = kernels::kReads<Op>, writes = kernels::kWrites<Op>;
  Arrays<reads, writes> arrays{};
  for (int i = 0; i < reads; ++i) arrays.in[i] = in[static_cast<std::size_t>(i)].data();
  for (int i = 0; i < writes; ++i) arrays.out[i] = out[static_cast<std::size_t>(i)].data();
  pointwise<OnElements<Op>, reads, writes>(context, {call.as<Op>()}, arrays, out.front().size());
}

using Launch = void (*)(Context&, const kernels::PointwiseCall&, kernels::Inputs, kernels::Outputs);

template <std::size_t... I>
constexpr std::array<Launch, sizeof...(I)> launches_of(std::index_sequence<I...>) {
  return {launch<std::tuple_element_t<I, kernels::PointwiseList>>...};
}
constexpr auto launches = launches_of(std::make_index_sequence<kernels::kPointwiseCount>());

}  // namespace

void Cuda::apply(const kernels::PointwiseCall& call, kernels::Inputs in, kernels::Outputs out) {
  const std::size_t n = call.check(in, out);
  return named(call.info().name, {{"n", n}},
               [&] { launches[call.index()](context_, call, in, out); });
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
    if (norm > limit && std::isfinite(norm)) apply(kernels::Scale{limit / norm}, {x}, {x});
    return norm;
  });
}

// kernels/quantize.hpp

void Cuda::two_bit_quantize(double threshold, Floats gradient, std::span<float> residual,
                            std::span<std::uint32_t> codes) {
  return named("two_bit_quantize", {{"n", gradient.size()}}, [&] {
    if (gradient.empty()) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(gradient.size()), vector_threads,
                    (two_bit_quantize_kernel), kernels::TwoBitQuantize{threshold}, gradient.data(),
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
