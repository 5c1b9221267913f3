#pragma once

#include "kernels/backend.hpp"

namespace paceline::kernels {

/// Host memory, and the operations on flat vectors in their reference form, which both CPU backends
/// share: they are bound by memory, and their results are then equal to the last bit. Stateless.
class CpuBackend : public Backend {
 public:
  void* allocate(std::size_t bytes) override;
  void release(void* memory) noexcept override;
  void copy_from_host(void* to, const void* host, std::size_t bytes) override;
  void copy_to_host(void* host, const void* from, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill(float value, std::span<float> x) override;
  void synchronize() override {}
  double measure(const std::function<void()>& work) override;

  void sgd_step(const SgdOptions& options, std::span<const float> gradient,
                std::span<float> velocity, std::span<float> weights) override;
  void adamw_step(const AdamWOptions& options, std::int64_t step, std::span<const float> gradient,
                  std::span<float> mean, std::span<float> square,
                  std::span<float> weights) override;
  double sum_of_squares(std::span<const float> x) override;
  double clip_norm(double limit, std::span<float> x) override;

  void axpy(double a, std::span<const float> x, std::span<float> y) override;
  void scale(double a, std::span<float> x) override;
  void subtract(std::span<const float> a, std::span<const float> b, std::span<float> out) override;
  void interpolate(double a, std::span<const float> z, std::span<float> x) override;
  void add_progress(std::span<const float> mean, std::span<const float> start,
                    std::span<float> x) override;
  void delay_compensate(double lambda, std::span<const float> gradient,
                        std::span<const float> weights, std::span<const float> backup,
                        std::span<float> out) override;
  void delay_compensate_adaptive(double lambda, double decay, std::span<const float> gradient,
                                 std::span<const float> weights, std::span<const float> backup,
                                 std::span<float> square, std::span<float> out) override;
  void od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                           std::span<const float> weights, std::span<const float> previous,
                           std::span<float> local) override;

  void top_k(std::span<const float> x, SparseOutput out) override;
  void clear_at(std::span<const std::int32_t> indices, std::span<float> x) override;
  float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                          std::uint64_t seed) override;
  float gaussian_threshold(std::span<const float> x, std::int64_t k) override;
  std::int64_t count_reaching(std::span<const float> x, float threshold) override;
  std::int64_t select_reaching(std::span<const float> x, float threshold,
                               SparseOutput out) override;
  void scatter_add(std::span<const SparseView> blocks, double scale, std::span<float> sum) override;
  std::int64_t merge_top_k(SparseView a, SparseView b, SparseOutput out) override;

  void two_bit_quantize(double threshold, std::span<const float> gradient,
                        std::span<float> residual, std::span<std::uint32_t> codes) override;
  void two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                          std::span<float> values) override;
  float sign_quantize(std::span<const float> gradient, std::span<float> residual,
                      std::span<std::uint32_t> codes) override;
  void sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                       std::span<float> values) override;
  void pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed) override;
  void unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values) override;

  void low_rank_left(const MatrixShape& shape, std::span<const float> m, std::span<const float> q,
                     std::span<float> p) override;
  void low_rank_right(const MatrixShape& shape, std::span<const float> m, std::span<const float> p,
                      std::span<float> q) override;
  void low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                            std::span<const float> q, std::span<float> m) override;
  void orthonormalize(const MatrixShape& shape, std::span<float> p) override;
};

/// The host array given to read() or write() has as many elements as the activation: throws
/// std::invalid_argument if not.
void check_host_size(const Activation& activation, std::size_t host_elements);

std::unique_ptr<Backend> make_reference_backend();
std::unique_ptr<Backend> make_onednn_backend();  ///< only where oneDNN was found at build time

}  // namespace paceline::kernels
