#pragma once

#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"
#include "kernels/cuda/context.hpp"
#include "kernels/cuda/results.hpp"
#include "kernels/cuda/select_launch_grid.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline::cuda {

std::unique_ptr<kernels::Layer> make_layer(Context& context, const kernels::LayerShape& shape);
/// "cudnn" or "im2col+cublas".
std::string convolution_engine();
/// The loaded cuDNN's version, or "".
std::string cudnn_version();

/// Full radix sort of magnitudes (largest first) with their indices. Returns the scratch bytes it
/// needs when `scratch` is null. In a file of its own: CUB's templates take longest to compile.
std::size_t sort_by_magnitude(cudaStream_t stream, void* scratch, std::size_t bytes,
                              const std::uint32_t* keys, std::uint32_t* sorted_keys,
                              const std::int32_t* indices, std::int32_t* sorted_indices,
                              std::size_t n);

kernels::CudaDeviceInfo read_device_info(int device);
SelectGrids select_grids(int multiprocessors);

/// See kernels::CudaBackend.
class Cuda final : public kernels::CudaBackend {
 public:
  explicit Cuda(int device);

  std::string name() const override { return "cuda"; }
  std::string description() const override;
  void* allocate(std::size_t bytes) override;
  void release(void* memory) noexcept override;
  void copy_from_host(void* to, const void* host, std::size_t bytes) override;
  void copy_to_host(void* host, const void* from, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill(float value, std::span<float> x) override;
  void synchronize() override { context_.synchronize(); }
  double measure(const std::function<void()>& work) override;

  std::unique_ptr<kernels::Layer> make_layer(const kernels::LayerShape& shape) override;
  std::unique_ptr<kernels::Activation> make_activation(const kernels::Dims& dims) override;
  void write(std::span<const float> host, kernels::Activation& activation) override;
  void read(const kernels::Activation& activation, std::span<float> host) override;
  void accumulate(const kernels::Activation& term, kernels::Activation& sum) override;

  using Backend::apply;
  void apply(const kernels::PointwiseCall& call, kernels::Inputs in, kernels::Outputs out) override;
  double clip_norm(double limit, std::span<float> x) override;

  void top_k(std::span<const float> x, kernels::SparseOutput out) override;
  void clear_at(std::span<const std::int32_t> indices, std::span<float> x) override;
  float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                          std::uint64_t seed) override;
  float gaussian_threshold(std::span<const float> x, std::int64_t k) override;
  std::int64_t count_reaching(std::span<const float> x, float threshold) override;
  std::int64_t select_reaching(std::span<const float> x, float threshold,
                               kernels::SparseOutput out) override;
  void scatter_add(std::span<const kernels::SparseView> blocks, double scale,
                   std::span<float> sum) override;
  std::int64_t merge_top_k(kernels::SparseView a, kernels::SparseView b,
                           kernels::SparseOutput out) override;

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

  void low_rank_left(const kernels::MatrixShape& shape, std::span<const float> m,
                     std::span<const float> q, std::span<float> p) override;
  void low_rank_right(const kernels::MatrixShape& shape, std::span<const float> m,
                      std::span<const float> p, std::span<float> q) override;
  void low_rank_reconstruct(const kernels::MatrixShape& shape, std::span<const float> p,
                            std::span<const float> q, std::span<float> m) override;
  void orthonormalize(const kernels::MatrixShape& shape, std::span<float> p) override;

  const kernels::CudaDeviceInfo& device() const override { return info_; }
  kernels::CudaClocks clocks() const override;
  void allow_tf32(bool allowed) override { context_.allow_tf32(allowed); }
  std::vector<kernels::ConvolutionChoice> convolution_choices() const override {
    return context_.convolution_choices();
  }
  void error_feedback_top_k(double scale, std::span<const float> gradient,
                            std::span<float> residual, kernels::SparseOutput out) override;
  void momentum_top_k(double momentum, std::span<const float> gradient, std::span<float> velocity,
                      std::span<float> accumulated, kernels::SparseOutput out) override;
  void legacy_top_k(std::span<const float> x, kernels::SparseOutput out) override;
  void sort_top_k(std::span<const float> x, kernels::SparseOutput out) override;
  void scatter_fresh(std::span<const kernels::SparseView> blocks, double scale,
                     std::span<float> sum) override;

  kernels::ReplaySamples time_replays(const kernels::ReplayOptions& options,
                                      const std::function<void(int)>& work) override;
  kernels::PieceSamples time_pieces(const kernels::ReplayOptions& options, std::size_t pieces,
                                    const std::function<void(std::size_t)>& work) override;
  std::vector<double> time_copies(kernels::CopyDirection direction, bool pinned, std::size_t bytes,
                                  int repetitions) override;
  kernels::CudaCeilings measure_ceilings() override;

 private:
  double sum_of_squares(std::span<const float> x);
  template <class Source>
  void select(const SelectGrid& grid, const Source& source, bool aligned, std::size_t n,
              kernels::SparseOutput out, bool has_floor, std::uint32_t floor,
              std::uint32_t* written);
  void scatter(std::span<const kernels::SparseView> blocks, double scale, bool fresh,
               std::span<float> sum);
  double typical_seconds(const std::function<void()>& work);
  void measure_products(kernels::CudaCeilings& ceilings);
  void measure_memory(kernels::CudaCeilings& ceilings);
  void measure_launches(kernels::CudaCeilings& ceilings);
  /// In device memory: an address for kernels, and for `fetch`.
  [[nodiscard]] Results* results() const { return static_cast<Results*>(results_.get()); }
  /// A value that a kernel left in device memory.
  template <class T>
  T fetch(const T* device_memory) {
    T value;
    copy_to_host(&value, device_memory, sizeof value);
    return value;
  }
  /// Runs one operation on vectors; an error of the device names it and its sizes.
  template <class Work>
  auto named(std::string_view operation,
             std::initializer_list<std::pair<const char*, std::size_t>> sizes, const Work& work)
      -> decltype(work()) {
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        context_.after_operation("after it");
      } else {
        const auto result = work();
        context_.after_operation("after it");
        return result;
      }
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {
      std::string text(operation);
      for (const auto& [name, size] : sizes)
        text += std::string(", ") + name + " " + std::to_string(size);
      throw std::runtime_error(text + ": " + error.what());
    }
  }

  Context context_;
  SelectGrids grids_{};
  kernels::CudaDeviceInfo info_;
  DeviceMemory results_;
};

}  // namespace paceline::cuda
