#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/check.hpp"
#include "kernels/cuda/fault.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline::cuda {

/// Device memory, released with the object.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  explicit DeviceMemory(std::size_t bytes);
  [[nodiscard]] void* get() const { return memory_.get(); }
  [[nodiscard]] float* floats() const { return static_cast<float*>(memory_.get()); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(void* memory) const noexcept { cudaFree(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

/// One GPU as the layers and operations see it: a stream on which everything runs in order, handles
/// on it, and scratch memory. Used by one thread at a time.
class Context {
 public:
  explicit Context(int device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// The stream; makes the device the calling thread's current one.
  cudaStream_t stream();
  cublasHandle_t cublas() const { return cublas_; }
  /// Where cudnn_convolution.cpp keeps its library handle; null until it is needed.
  std::shared_ptr<void>& cudnn() { return cudnn_; }
  void allow_tf32(bool allowed);
  [[nodiscard]] bool tf32() const { return tf32_; }
  /// One entry per layer and pass; the key is the layer's address.
  std::map<std::pair<const void*, std::string>, kernels::ConvolutionChoice>& choices() {
    return choices_;
  }
  [[nodiscard]] std::vector<kernels::ConvolutionChoice> convolution_choices() const;
  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] int multiprocessors() const { return multiprocessors_; }
  /// Blocks for a grid-stride loop over n elements: enough to fill the device, at most one per 256
  /// elements.
  [[nodiscard]] unsigned blocks(std::size_t n, unsigned per_block = 256) const;
  /// At least `bytes`, contents undefined, valid until the next call on this context. Growing it
  /// waits for the device, so work that is to be captured runs once before.
  void* scratch(std::size_t bytes);
  /// A second, independent one: for the selection, whose counters must stay as they were left.
  /// Starts zero.
  void* select_scratch(std::size_t bytes, std::size_t zeroed);
  /// Waits for the stream. Throws InputError for a token or label that a kernel could not use.
  void synchronize();
  [[nodiscard]] Fault* fault() const { return fault_; }
  /// With PACELINE_CUDA_SYNC=1, waits after every operation, so that an error names the one that
  /// made it.
  void after_operation(const char* what);

 private:
  void* grow(DeviceMemory& memory, std::size_t bytes);

  int device_;
  int multiprocessors_ = 0;
  bool wait_always_ = false;
  bool tf32_ = false;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t cublas_ = nullptr;
  Fault* fault_ = nullptr;
  std::shared_ptr<void> cudnn_;
  std::map<std::pair<const void*, std::string>, kernels::ConvolutionChoice> choices_;
  DeviceMemory cublas_workspace_, scratch_, select_scratch_;
};

/// C [m,n] = op(A) op(B) + beta C, row-major; op(A) is [m,k] and op(B) [k,n], stored transposed
/// where so marked. Leading dimensions 0: rows without gaps.
void row_major_product(Context& context, bool transpose_a, bool transpose_b, std::int64_t m,
                       std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
                       float* c, std::int64_t row_a = 0, std::int64_t row_b = 0,
                       std::int64_t row_c = 0);
/// The same for `count` products whose operands lie `step_a`, `step_b`, `step_c` elements apart.
void row_major_products(Context& context, bool transpose_a, bool transpose_b, std::int64_t m,
                        std::int64_t n, std::int64_t k, const float* a, std::int64_t step_a,
                        const float* b, std::int64_t step_b, float beta, float* c,
                        std::int64_t step_c, std::int64_t count);

/// z with P(|Z| > z) = share for a standard normal Z.
double normal_quantile(double share);

/// Empty if GPU `device` can be used, else the reason for the user and what to do.
std::string why_not(int device);

}  // namespace paceline::cuda
