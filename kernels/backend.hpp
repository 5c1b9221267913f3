#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/blend.hpp"
#include "kernels/layer.hpp"
#include "kernels/low_rank.hpp"
#include "kernels/operations/call.hpp"
#include "kernels/optimizer.hpp"
#include "kernels/quantize.hpp"
#include "kernels/shapes.hpp"
#include "kernels/sparsify.hpp"

namespace paceline::kernels {

/// Where and with which library the operations run. Spans and pointers given to its functions are
/// memory of this backend (allocate), except where "host" is said. What each operation computes is
/// documented at the function of the same name in kernels::reference; backends agree with it up to
/// rounding (selections and quantisers: exactly).
///
/// Calls run in the order in which they are made; those that return a value wait for it, the others
/// may return early (GPU). Use one backend object per thread, or guard it. A CPU backend computes
/// on the calling thread alone: parallelism is over workers, so results never depend on the number
/// of threads.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string name() const = 0;  ///< "reference", "onednn", "cuda"
  /// Library, version and instruction set or device, for the record of a run: "oneDNN 2.6.3,
  /// AVX-512".
  [[nodiscard]] virtual std::string description() const = 0;
  /// Whether its memory is the host's: any of the host's will do then.
  [[nodiscard]] virtual bool on_host() const { return true; }

  // Memory. Alignment is at least 64 bytes; contents of fresh memory are unspecified.
  [[nodiscard]] virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  virtual void copy_from_host(void* to, const void* host, std::size_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* from, std::size_t bytes) = 0;  ///< waits
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;  ///< within the device
  virtual void fill(float value, std::span<float> x) = 0;
  /// Waits for everything called so far. Throws std::runtime_error if any of it failed.
  virtual void synchronize() = 0;
  /// Seconds the device spends on what `work` calls, by the device's own clock where it has one.
  virtual double measure(const std::function<void()>& work) = 0;

  // Layers. Activations go to layers of the backend that made them only.
  [[nodiscard]] virtual std::unique_ptr<Layer> make_layer(const LayerShape& shape) = 0;
  [[nodiscard]] virtual std::unique_ptr<Activation> make_activation(const Dims& dims) = 0;
  /// From and to plain row-major memory of the host.
  virtual void write(std::span<const float> host, Activation& activation) = 0;
  virtual void read(const Activation& activation, std::span<float> host) = 0;
  /// sum += term: gradients of an activation that several layers read.
  virtual void accumulate(const Activation& term, Activation& sum) = 0;

  /// A pointwise operation of operations/list.hpp.
  virtual void apply(const PointwiseCall& call, Inputs in, Outputs out);

  // optimizer.hpp
  virtual void sgd_step(const SgdOptions& options, std::span<const float> gradient,
                        std::span<float> velocity, std::span<float> weights) = 0;
  virtual void adamw_step(const AdamWOptions& options, std::int64_t step,
                          std::span<const float> gradient, std::span<float> mean,
                          std::span<float> square, std::span<float> weights) = 0;
  virtual double sum_of_squares(std::span<const float> x) = 0;
  virtual double clip_norm(double limit, std::span<float> x) = 0;

  // blend.hpp
  virtual void axpy(double a, std::span<const float> x, std::span<float> y) = 0;
  virtual void scale(double a, std::span<float> x) = 0;
  virtual void subtract(std::span<const float> a, std::span<const float> b,
                        std::span<float> out) = 0;
  virtual void interpolate(double a, std::span<const float> z, std::span<float> x) = 0;
  virtual void add_progress(std::span<const float> mean, std::span<const float> start,
                            std::span<float> x) = 0;
  virtual void delay_compensate(double lambda, std::span<const float> gradient,
                                std::span<const float> weights, std::span<const float> backup,
                                std::span<float> out) = 0;
  virtual void delay_compensate_adaptive(double lambda, double decay,
                                         std::span<const float> gradient,
                                         std::span<const float> weights,
                                         std::span<const float> backup, std::span<float> square,
                                         std::span<float> out) = 0;
  virtual void od_sgd_local_update(const OdSgdOptions& options, std::span<const float> gradient,
                                   std::span<const float> weights, std::span<const float> previous,
                                   std::span<float> local) = 0;

  // sparsify.hpp
  virtual void top_k(std::span<const float> x, SparseOutput out) = 0;
  virtual void clear_at(std::span<const std::int32_t> indices, std::span<float> x) = 0;
  /// Top-k with error feedback in one: residual += scale*gradient; out = the top_k of it; the
  /// residual is cleared there. The bits of axpy, top_k, clear_at.
  virtual void error_feedback_top_k(double scale, std::span<const float> gradient,
                                    std::span<float> residual, SparseOutput out);
  virtual float sampled_threshold(std::span<const float> x, std::int64_t k, std::int64_t stride,
                                  std::uint64_t seed) = 0;
  virtual float gaussian_threshold(std::span<const float> x, std::int64_t k) = 0;
  virtual std::int64_t count_reaching(std::span<const float> x, float threshold) = 0;
  virtual std::int64_t select_reaching(std::span<const float> x, float threshold,
                                       SparseOutput out) = 0;
  virtual void scatter_add(std::span<const SparseView> blocks, double scale,
                           std::span<float> sum) = 0;
  /// sum = scale * (the blocks, added in order): the bits of scatter_add to zeros.
  virtual void scatter_fresh(std::span<const SparseView> blocks, double scale,
                             std::span<float> sum);
  virtual std::int64_t merge_top_k(SparseView a, SparseView b, SparseOutput out) = 0;

  // quantize.hpp
  virtual void two_bit_quantize(double threshold, std::span<const float> gradient,
                                std::span<float> residual, std::span<std::uint32_t> codes) = 0;
  virtual void two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                                  std::span<float> values) = 0;
  virtual float sign_quantize(std::span<const float> gradient, std::span<float> residual,
                              std::span<std::uint32_t> codes) = 0;
  virtual void sign_dequantize(float scale, std::span<const std::uint32_t> codes,
                               std::span<float> values) = 0;
  virtual void pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed) = 0;
  virtual void unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values) = 0;

  // low_rank.hpp
  virtual void low_rank_left(const MatrixShape& shape, std::span<const float> m,
                             std::span<const float> q, std::span<float> p) = 0;
  virtual void low_rank_right(const MatrixShape& shape, std::span<const float> m,
                              std::span<const float> p, std::span<float> q) = 0;
  virtual void low_rank_reconstruct(const MatrixShape& shape, std::span<const float> p,
                                    std::span<const float> q, std::span<float> m) = 0;
  virtual void orthonormalize(const MatrixShape& shape, std::span<float> p) = 0;
};

/// The CPU backends of this build; "reference" is always there.
std::vector<std::string> backend_names();
/// A CPU backend, or "cuda" or "cuda:1", for which the CUDA module is opened (cuda_module.hpp).
/// Throws InputError for an unknown name, naming the nearest, and for a GPU that is not there.
std::unique_ptr<Backend> make_backend(std::string_view name);
/// Throws what make_backend would throw for the name alone.
void check_backend_name(std::string_view name);
/// The number in "cuda:N" (0 for "cuda"); -1 for what is no GPU. Throws InputError for a bad
/// number.
int cuda_device_number(std::string_view name);
/// "onednn" where it was built in, else "reference".
std::string fastest_cpu_backend();

/// Memory of a backend for `size` values of T, released with this object. The backend must outlive
/// it.
template <class T>
class Array {
 public:
  Array() = default;
  Array(Backend& backend, std::size_t size)
      : memory_(static_cast<T*>(backend.allocate(size * sizeof(T))), Release{&backend}),
        size_(size) {}
  [[nodiscard]] T* data() const { return memory_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<T> span() const { return {data(), size_}; }
  operator std::span<T>() const { return span(); }        // NOLINT: an Array is a span
  operator std::span<const T>() const { return span(); }  // NOLINT

 private:
  struct Release {
    Backend* backend = nullptr;
    void operator()(T* memory) const { backend->release(memory); }
  };
  std::unique_ptr<T, Release> memory_{nullptr, Release{}};
  std::size_t size_ = 0;
};

}  // namespace paceline::kernels
