#include "kernels/cuda/context.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <stdexcept>
#include <utility>

#include "base/error.hpp"

namespace paceline::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky is told once
  throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorName(status) + ": " +
                           cudaGetErrorString(status));
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuBLAS: ") + what + ": " + cublasGetStatusString(status));
}

DeviceMemory::DeviceMemory(std::size_t bytes) : bytes_(bytes) {
  void* memory = nullptr;
  if (const auto status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
      status != cudaSuccess) {
    std::size_t free = 0;
    std::size_t total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&free, &total);
    check(status, "allocating " + std::to_string(bytes) + " bytes (" + std::to_string(free) +
                      " of " + std::to_string(total) + " bytes are free)");
  }
  memory_.reset(memory);
}

Context::Context(int device) : device_(device) {
  PACELINE_CHECK(cudaSetDevice(device));
  PACELINE_CHECK(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device));
  PACELINE_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  PACELINE_CHECK(cublasCreate(&cublas_));
  PACELINE_CHECK(cublasSetStream(cublas_, stream_));
  allow_tf32(false);
  // A workspace of our own: cuBLAS is deterministic with it, and needs no allocation inside a
  // graph.
  cublas_workspace_ = DeviceMemory(std::size_t{32} << 20);
  PACELINE_CHECK(cublasSetWorkspace(cublas_, cublas_workspace_.get(), cublas_workspace_.bytes()));
  void* fault = nullptr;
  PACELINE_CHECK(cudaHostAlloc(&fault, sizeof(Fault), cudaHostAllocMapped));
  fault_ = static_cast<Fault*>(fault);
  *fault_ = {};
  const char* wait = std::getenv("PACELINE_CUDA_SYNC");
  wait_always_ = wait != nullptr && *wait == '1';
}

Context::~Context() {
  cudaSetDevice(device_);
  cudaStreamSynchronize(stream_);
  cudnn_.reset();
  if (cublas_ != nullptr) cublasDestroy(cublas_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  cudaFreeHost(fault_);
}

// Unless allowed, fp32 is FMA: no TF32, whatever NVIDIA_TF32_OVERRIDE or a later default says.
void Context::allow_tf32(bool allowed) {
  PACELINE_CHECK(
      cublasSetMathMode(cublas_, allowed ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
  tf32_ = allowed;
}

std::vector<kernels::ConvolutionChoice> Context::convolution_choices() const {
  std::vector<kernels::ConvolutionChoice> result;
  for (const auto& [layer, choice] : choices_) result.push_back(choice);
  return result;
}

cudaStream_t Context::stream() {
  PACELINE_CHECK(cudaSetDevice(device_));
  return stream_;
}

unsigned Context::blocks(std::size_t n, unsigned per_block) const {
  const std::size_t needed = (n + per_block - 1) / per_block;
  return static_cast<unsigned>(
      std::clamp<std::size_t>(needed, 1, static_cast<std::size_t>(multiprocessors_) * 8));
}

void* Context::grow(DeviceMemory& memory, std::size_t bytes) {
  if (memory.bytes() < bytes) {
    synchronize();
    memory = DeviceMemory();
    memory = DeviceMemory(bytes);
  }
  return memory.get();
}

void* Context::scratch(std::size_t bytes) {
  stream();
  return grow(scratch_, bytes);
}

void* Context::select_scratch(std::size_t bytes, std::size_t zeroed) {
  stream();
  if (select_scratch_.bytes() < bytes) {
    grow(select_scratch_, bytes);
    PACELINE_CHECK(cudaMemsetAsync(select_scratch_.get(), 0, zeroed, stream_));
  }
  return select_scratch_.get();
}

void Context::synchronize() {
  PACELINE_CHECK(cudaStreamSynchronize(stream()));
  const Fault fault = std::exchange(*fault_, Fault{});
  if (fault.kind == 0) return;
  throw InputError((fault.kind == 1 ? "embedding: token " : "softmax_loss: label ") +
                   std::to_string(fault.value) +
                   " is not a whole number in the range of the layer");
}

void Context::after_operation(const char* what) {
  if (!wait_always_) return;
  cudaStreamCaptureStatus capturing{};
  PACELINE_CHECK(cudaStreamIsCapturing(stream(), &capturing));
  if (capturing == cudaStreamCaptureStatusNone) check(cudaStreamSynchronize(stream()), what);
}

namespace {
std::string product_name(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k) {
  return std::string("matrix product ") + (ta ? "A^T" : "A") + (tb ? " B^T" : " B") + ", m " +
         std::to_string(m) + ", n " + std::to_string(n) + ", k " + std::to_string(k);
}
}  // namespace

void row_major_product(Context& context, bool transpose_a, bool transpose_b, std::int64_t m,
                       std::int64_t n, std::int64_t k, const float* a, const float* b, float beta,
                       float* c, std::int64_t row_a, std::int64_t row_b, std::int64_t row_c) {
  if (m == 0 || n == 0) return;
  context.stream();
  const float one = 1.0f;
  const auto stride = [](std::int64_t given, std::int64_t plain) {
    return static_cast<int>(given == 0 ? plain : given);
  };
  // A row-major matrix is its transpose to cuBLAS: C^T = op(B)^T op(A)^T.
  check(
      cublasSgemm(context.cublas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                  transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(n), static_cast<int>(m),
                  static_cast<int>(k), &one, b, stride(row_b, transpose_b ? k : n), a,
                  stride(row_a, transpose_a ? m : k), &beta, c, stride(row_c, n)),
      product_name(transpose_a, transpose_b, m, n, k));
}

void row_major_products(Context& context, bool transpose_a, bool transpose_b, std::int64_t m,
                        std::int64_t n, std::int64_t k, const float* a, std::int64_t step_a,
                        const float* b, std::int64_t step_b, float beta, float* c,
                        std::int64_t step_c, std::int64_t count) {
  context.stream();
  const float one = 1.0f;
  check(cublasSgemmStridedBatched(context.cublas(), transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                  transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(n),
                                  static_cast<int>(m), static_cast<int>(k), &one, b,
                                  static_cast<int>(transpose_b ? k : n), step_b, a,
                                  static_cast<int>(transpose_a ? m : k), step_a, &beta, c,
                                  static_cast<int>(n), step_c, static_cast<int>(count)),
        product_name(transpose_a, transpose_b, m, n, k) + ", batch " + std::to_string(count));
}

double normal_quantile(double share) {
  // P(|Z| > z) = erfc(z / sqrt 2): Newton's steps from Abramowitz and Stegun 26.2.23.
  if (share >= 1) return 0;
  const double t = std::sqrt(-2 * std::log(share / 2));
  double z = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) /
                     (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t);
  const double density = std::sqrt(2 / std::numbers::pi);
  for (int step = 0; step < 4; ++step) {
    z += (std::erfc(z / std::numbers::sqrt2) - share) / (density * std::exp(-z * z / 2));
  }
  return z;
}

std::string why_not(int device) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver != 0) {
      return "the NVIDIA driver is too old for this build: it supports CUDA " +
             std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) +
             ", the build needs " + std::to_string(CUDART_VERSION / 1000) + "." +
             std::to_string(CUDART_VERSION % 1000 / 10) +
             "; update the driver or use a CPU backend";
    }
    return "no GPU was found (no NVIDIA driver is loaded); use a machine with one, or a CPU "
           "backend";
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    return "no GPU was found (the driver sees none; is CUDA_VISIBLE_DEVICES set?); use a machine "
           "with one, or "
           "a CPU backend";
  }
  if (status != cudaSuccess) {
    return std::string("the GPU cannot be used: ") + cudaGetErrorName(status) + ": " +
           cudaGetErrorString(status);
  }
  if (device < 0 || device >= count) {
    return "there is no GPU " + std::to_string(device) + "; this machine has " +
           std::to_string(count) +
           (count == 1 ? " (0)" : " (0 to " + std::to_string(count - 1) + ")");
  }
  return "";
}

}  // namespace paceline::cuda
