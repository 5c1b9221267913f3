#pragma once

#include <algorithm>
#include <ctime>
#include <utility>

#include "kernels/cuda_module.hpp"

namespace paceline::kernels {

/// A CPU backend that says it is a GPU: the calibrator's way through graphs, pieces, copies and
/// ceilings on a machine without one. Its "replays" run the work and take the thread's CPU time.
class FakeGpu final : public CudaBackend {
 public:
  explicit FakeGpu(std::unique_ptr<Backend> cpu) : cpu_(std::move(cpu)) {
    info_.name = "Fake GPU";
    info_.compute_major = 9;
    info_.l2_bytes = 1 << 16;
    info_.memory_bytes = std::int64_t{1} << 30;
  }
  std::string name() const override { return "cuda"; }
  std::string description() const override {
    return tf32 ? "a CPU in disguise, TF32 allowed" : "a CPU in disguise";
  }
  bool tf32 = false;
  int replays = 0;  ///< calls of time_replays
  void* allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void release(void* memory) noexcept override { cpu_->release(memory); }
  void copy_from_host(void* to, const void* host, std::size_t bytes) override {
    cpu_->copy_from_host(to, host, bytes);
  }
  void copy_to_host(void* host, const void* from, std::size_t bytes) override {
    cpu_->copy_to_host(host, from, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override { cpu_->copy(to, from, bytes); }
  void fill(float value, std::span<float> x) override { cpu_->fill(value, x); }
  void synchronize() override { cpu_->synchronize(); }
  double measure(const std::function<void()>& work) override { return cpu_->measure(work); }
  std::unique_ptr<Layer> make_layer(const LayerShape& shape) override {
    return cpu_->make_layer(shape);
  }
  std::unique_ptr<Activation> make_activation(const Dims& dims) override {
    return cpu_->make_activation(dims);
  }
  void write(std::span<const float> host, Activation& activation) override {
    cpu_->write(host, activation);
  }
  void read(const Activation& activation, std::span<float> host) override {
    cpu_->read(activation, host);
  }
  void accumulate(const Activation& term, Activation& sum) override { cpu_->accumulate(term, sum); }
  void sgd_step(const SgdOptions& options, std::span<const float> gradient,
                std::span<float> velocity, std::span<float> weights) override {
    cpu_->sgd_step(options, gradient, velocity, weights);
  }
  void adamw_step(const AdamWOptions& options, std::int64_t step, std::span<const float> gradient,
                  std::span<float> mean, std::span<float> square,
                  std::span<float> weights) override {
    cpu_->adamw_step(options, step, gradient, mean, square, weights);
  }
  double sum_of_squares(std::span<const float> x) override { return cpu_->sum_of_squares(x); }
  double clip_norm(double limit, std::span<float> x) override { return cpu_->clip_norm(limit, x); }
  void axpy(double a, std::span<const float> x, std::span<float> y) override {
    cpu_->axpy(a, x, y);
  }
  void scale(double a, std::span<float> x) override { cpu_->scale(a, x); }
  void subtract(std::span<const float> a, std::span<const float> b, std::span<float> out) override {
    cpu_->subtract(a, b, out);
  }
  void interpolate(double a, std::span<const float> z, std::span<float> x) override {
    cpu_->interpolate(a, z, x);
  }
  void add_progress(std::span<const float> mean, std::span<const float> start,
                    std::span<float> x) override {
    cpu_->add_progress(mean, start, x);
  }
  void delay_compensate(double lambda, std::span<const float> gradient,
                        std::span<const float> weights, std::span<const float> backup,
                        std::span<float> out) override {
    cpu_->delay_compensate(lambda, gradient, weights, backup, out);
  }
  void delay_compensate_adaptive(double lambda, double decay, std::span<const float> gradient,
                                 std::span<const float> weights, std::span<const float> backup,
                                 std::span<float> square, std::span<float> out) override {
    cpu_->delay_compensate_adaptive(lambda, decay, gradient, weights, backup, square, out);
  }
  void od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                           std::span<const float> weights, std::span<const float> previous,
                           std::span<float> local) override {
    cpu_->od_sgd_local_update(options, gradient, weights, previous, local);
  }
  void top_k(std::span<const float> x, SparseOutput out) override { cpu_->top_k(x, out); }
  void clear_at(std::span<const std::int32_t> indices, std::span<float> x) override {
    cpu_->clear_at(indices, x);
  }
  float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                          std::uint64_t seed) override {
    return cpu_->sampled_threshold(x, k, stride, seed);
  }
  float gaussian_threshold(std::span<const float> x, std::int64_t k) override {
    return cpu_->gaussian_threshold(x, k);
  }
  std::int64_t count_reaching(std::span<const float> x, float threshold) override {
    return cpu_->count_reaching(x, threshold);
  }
  std::int64_t select_reaching(std::span<const float> x, float threshold,
                               SparseOutput out) override {
    return cpu_->select_reaching(x, threshold, out);
  }
  void scatter_add(std::span<const SparseView> blocks, double scale,
                   std::span<float> sum) override {
    cpu_->scatter_add(blocks, scale, sum);
  }
  std::int64_t merge_top_k(SparseView a, SparseView b, SparseOutput out) override {
    return cpu_->merge_top_k(a, b, out);
  }
  void two_bit_quantize(double threshold, std::span<const float> gradient,
                        std::span<float> residual, std::span<std::uint32_t> codes) override {
    cpu_->two_bit_quantize(threshold, gradient, residual, codes);
  }
  void two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                          std::span<float> values) override {
    cpu_->two_bit_dequantize(threshold, codes, values);
  }
  float sign_quantize(std::span<const float> gradient, std::span<float> residual,
                      std::span<std::uint32_t> codes) override {
    return cpu_->sign_quantize(gradient, residual, codes);
  }
  void sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                       std::span<float> values) override {
    cpu_->sign_dequantize(scale, codes, values);
  }
  void pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed) override {
    cpu_->pack_fp16(values, packed);
  }
  void unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values) override {
    cpu_->unpack_fp16(packed, values);
  }
  void low_rank_left(const MatrixShape& shape, std::span<const float> m, std::span<const float> q,
                     std::span<float> p) override {
    cpu_->low_rank_left(shape, m, q, p);
  }
  void low_rank_right(const MatrixShape& shape, std::span<const float> m, std::span<const float> p,
                      std::span<float> q) override {
    cpu_->low_rank_right(shape, m, p, q);
  }
  void low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                            std::span<const float> q, std::span<float> m) override {
    cpu_->low_rank_reconstruct(shape, p, q, m);
  }
  void orthonormalize(const MatrixShape& shape, std::span<float> p) override {
    cpu_->orthonormalize(shape, p);
  }

  const CudaDeviceInfo& device() const override { return info_; }
  CudaClocks clocks() const override { return {1980, 2600, 40, 300}; }
  void allow_tf32(bool allowed) override { tf32 = allowed; }
  std::vector<ConvolutionChoice> convolution_choices() const override {
    return {{"3x3", "forward", 6, 1, 4096, true, 8192, ""}};
  }
  void error_feedback_top_k(double scale, std::span<const float> gradient,
                            std::span<float> residual, SparseOutput out) override {
    axpy(scale, gradient, residual);
    top_k(residual, out);
    clear_at(out.indices, residual);
  }
  void momentum_top_k(double momentum, std::span<const float> gradient, std::span<float> velocity,
                      std::span<float> accumulated, SparseOutput out) override {
    scale(momentum, velocity);
    axpy(1, gradient, velocity);
    error_feedback_top_k(1, velocity, accumulated, out);
    clear_at(out.indices, velocity);
  }
  void legacy_top_k(std::span<const float> x, SparseOutput out) override { top_k(x, out); }
  void sort_top_k(std::span<const float> x, SparseOutput out) override { top_k(x, out); }
  void scatter_fresh(std::span<const SparseView> blocks, double scale,
                     std::span<float> sum) override {
    fill(0, sum);
    scatter_add(blocks, scale, sum);
  }

  ReplaySamples time_replays(const ReplayOptions& options,
                             const std::function<void(int)>& work) override {
    ++replays;
    ReplaySamples result;
    result.per_replay = options.buffers;
    result.warm = true;
    for (int i = -1; i < std::min(options.samples, 5); ++i) {
      const double t = seconds([&] {
        for (int b = 0; b < options.buffers; ++b) work(b);
      });
      if (i < 0) continue;
      result.seconds.push_back(t / options.buffers);
      result.sm_mhz.push_back(1980);
    }
    return result;
  }
  PieceSamples time_pieces(const ReplayOptions& options, std::size_t pieces,
                           const std::function<void(std::size_t)>& work) override {
    PieceSamples result;
    result.in_graph = result.warm = true;
    result.seconds.resize(pieces);
    for (int i = 0; i < std::min(options.samples, 5); ++i) {
      for (std::size_t p = 0; p < pieces; ++p)
        result.seconds[p].push_back(seconds([&] { work(p); }));
      result.sm_mhz.push_back(1980);
    }
    return result;
  }
  /// 10 us and 10 GB/s from pinned memory, half of that from pageable.
  std::vector<double> time_copies(CopyDirection, bool pinned, std::size_t bytes,
                                  int repetitions) override {
    return std::vector<double>(static_cast<std::size_t>(repetitions),
                               10e-6 + static_cast<double>(bytes) / (pinned ? 10e9 : 5e9));
  }
  CudaCeilings measure_ceilings() override {
    return {.sgemm_flops = 50e12,
            .copy_bandwidth = 3e12,
            .read_bandwidth = 3e12,
            .l2_bandwidth = 6e12,
            .graph_launch_seconds = 1e-6,
            .eager_launch_seconds = 3e-6};
  }

 private:
  // Not the wall clock: others use this machine.
  static double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  template <class Work>
  static double seconds(const Work& work) {
    const double start = thread_seconds();
    work();
    return thread_seconds() - start;
  }

  std::unique_ptr<Backend> cpu_;
  CudaDeviceInfo info_;
};

}  // namespace paceline::kernels
