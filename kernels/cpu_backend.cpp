#include "kernels/cpu_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

namespace paceline::kernels {

void* CpuBackend::allocate(std::size_t bytes) {
  constexpr std::size_t line = 64;
  void* memory = std::aligned_alloc(line, std::max(line, (bytes + line - 1) / line * line));
  if (!memory) throw std::bad_alloc();
  return memory;
}
void CpuBackend::release(void* memory) noexcept {
  std::free(memory);
}

void CpuBackend::copy_from_host(void* to, const void* host, std::size_t bytes) {
  copy(to, host, bytes);
}
void CpuBackend::copy_to_host(void* host, const void* from, std::size_t bytes) {
  copy(host, from, bytes);
}
void CpuBackend::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void CpuBackend::fill(float value, std::span<float> x) {
  std::fill(x.begin(), x.end(), value);
}

double CpuBackend::measure(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void check_host_size(const Activation& activation, std::size_t host_elements) {
  const auto expected = static_cast<std::size_t>(elements(activation.dims()));
  if (host_elements != expected)
    throw std::invalid_argument(fmt::format(
        "an activation of {} elements cannot be copied from or to {}", expected, host_elements));
}

void CpuBackend::sgd_step(const SgdOptions& options, std::span<const float> gradient,
                          std::span<float> velocity, std::span<float> weights) {
  reference::sgd_step(options, gradient, velocity, weights);
}
void CpuBackend::adamw_step(const AdamWOptions& options, std::int64_t step,
                            std::span<const float> gradient, std::span<float> mean,
                            std::span<float> square, std::span<float> weights) {
  reference::adamw_step(options, step, gradient, mean, square, weights);
}
double CpuBackend::sum_of_squares(std::span<const float> x) {
  return reference::sum_of_squares(x);
}
double CpuBackend::clip_norm(double limit, std::span<float> x) {
  return reference::clip_norm(limit, x);
}
void CpuBackend::axpy(double a, std::span<const float> x, std::span<float> y) {
  reference::axpy(a, x, y);
}
void CpuBackend::scale(double a, std::span<float> x) {
  reference::scale(a, x);
}
void CpuBackend::subtract(std::span<const float> a, std::span<const float> b,
                          std::span<float> out) {
  reference::subtract(a, b, out);
}
void CpuBackend::interpolate(double a, std::span<const float> z, std::span<float> x) {
  reference::interpolate(a, z, x);
}
void CpuBackend::add_progress(std::span<const float> mean, std::span<const float> start,
                              std::span<float> x) {
  reference::add_progress(mean, start, x);
}
void CpuBackend::delay_compensate(double lambda, std::span<const float> gradient,
                                  std::span<const float> weights, std::span<const float> backup,
                                  std::span<float> out) {
  reference::delay_compensate(lambda, gradient, weights, backup, out);
}
void CpuBackend::delay_compensate_adaptive(double lambda, double decay,
                                           std::span<const float> gradient,
                                           std::span<const float> weights,
                                           std::span<const float> backup, std::span<float> square,
                                           std::span<float> out) {
  reference::delay_compensate_adaptive(lambda, decay, gradient, weights, backup, square, out);
}
void CpuBackend::od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                                     std::span<const float> weights,
                                     std::span<const float> previous, std::span<float> local) {
  reference::od_sgd_local_update(options, gradient, weights, previous, local);
}
void CpuBackend::top_k(std::span<const float> x, SparseOutput out) {
  reference::top_k(x, out);
}
void CpuBackend::clear_at(std::span<const std::int32_t> indices, std::span<float> x) {
  reference::clear_at(indices, x);
}
float CpuBackend::sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                                    std::uint64_t seed) {
  return reference::sampled_threshold(x, k, stride, seed);
}
float CpuBackend::gaussian_threshold(std::span<const float> x, std::int64_t k) {
  return reference::gaussian_threshold(x, k);
}
std::int64_t CpuBackend::count_reaching(std::span<const float> x, float threshold) {
  return reference::count_reaching(x, threshold);
}
std::int64_t CpuBackend::select_reaching(std::span<const float> x, float threshold,
                                         SparseOutput out) {
  return reference::select_reaching(x, threshold, out);
}
void CpuBackend::scatter_add(std::span<const SparseView> blocks, double scale,
                             std::span<float> sum) {
  reference::scatter_add(blocks, scale, sum);
}
std::int64_t CpuBackend::merge_top_k(SparseView a, SparseView b, SparseOutput out) {
  return reference::merge_top_k(a, b, out);
}
void CpuBackend::two_bit_quantize(double threshold, std::span<const float> gradient,
                                  std::span<float> residual, std::span<std::uint32_t> codes) {
  reference::two_bit_quantize(threshold, gradient, residual, codes);
}
void CpuBackend::two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                                    std::span<float> values) {
  reference::two_bit_dequantize(threshold, codes, values);
}
float CpuBackend::sign_quantize(std::span<const float> gradient, std::span<float> residual,
                                std::span<std::uint32_t> codes) {
  return reference::sign_quantize(gradient, residual, codes);
}
void CpuBackend::sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                                 std::span<float> values) {
  reference::sign_dequantize(scale, codes, values);
}
void CpuBackend::pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed) {
  reference::pack_fp16(values, packed);
}
void CpuBackend::unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values) {
  reference::unpack_fp16(packed, values);
}
void CpuBackend::low_rank_left(const MatrixShape& shape, std::span<const float> m,
                               std::span<const float> q, std::span<float> p) {
  reference::low_rank_left(shape, m, q, p);
}
void CpuBackend::low_rank_right(const MatrixShape& shape, std::span<const float> m,
                                std::span<const float> p, std::span<float> q) {
  reference::low_rank_right(shape, m, p, q);
}
void CpuBackend::low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                                      std::span<const float> q, std::span<float> m) {
  reference::low_rank_reconstruct(shape, p, q, m);
}
void CpuBackend::orthonormalize(const MatrixShape& shape, std::span<float> p) {
  reference::orthonormalize(shape, p);
}

}  // namespace paceline::kernels
