#include <cudnn.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/convolution.hpp"

namespace paceline::cuda {
namespace {

constexpr std::size_t workspace_most = std::size_t{1} << 30;

void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string("cuDNN: ") + what + ": " + cudnnGetErrorString(status));
}
#define PACELINE_CUDNN(call) \
  check_cudnn(call, #call " at " __FILE__ ":" PACELINE_CUDA_TEXT(__LINE__))

template <class Handle, cudnnStatus_t (*create)(Handle*), cudnnStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() { PACELINE_CUDNN(create(&handle_)); }
  ~Owned() { destroy(handle_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  operator Handle() const { return handle_; }  // NOLINT: it stands for the handle

 private:
  Handle handle_{};
};
using Tensor =
    Owned<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using Filter =
    Owned<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using Operation = Owned<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor,
                        cudnnDestroyConvolutionDescriptor>;
using Library = Owned<cudnnHandle_t, cudnnCreate, cudnnDestroy>;

std::string described(const kernels::Conv2dShape& s) {
  const auto out = s.output();
  const auto n = [](std::int64_t x) { return std::to_string(x); };
  return n(s.input.batch) + "x" + n(s.input.channels) + "x" + n(s.input.height) + "x" +
         n(s.input.width) + " to " + n(out.channels) + "x" + n(out.height) + "x" + n(out.width) +
         ", kernel " + n(s.window.kernel_height) + "x" + n(s.window.kernel_width) + ", groups " +
         n(s.groups);
}

class CudnnConvolution final : public Convolution {
 public:
  CudnnConvolution(Context& context, const kernels::Conv2dShape& s)
      : context_(context), shape_(described(s)), tf32_(context.tf32()) {
    const auto out = s.output();
    const auto n = [](std::int64_t x) { return static_cast<int>(x); };
    // One handle per GPU: each costs device memory.
    if (context.cudnn() == nullptr) context.cudnn() = std::make_shared<Library>();
    library_ = *static_cast<Library*>(context.cudnn().get());
    PACELINE_CUDNN(cudnnSetStream(library_, context.stream()));
    std::size_t free = 0;
    std::size_t total = 0;
    PACELINE_CHECK(cudaMemGetInfo(&free, &total));
    limit_ = std::min(workspace_most, total / 8);
    PACELINE_CUDNN(cudnnSetTensor4dDescriptor(x_, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT,
                                              n(s.input.batch), n(s.input.channels),
                                              n(s.input.height), n(s.input.width)));
    PACELINE_CUDNN(cudnnSetTensor4dDescriptor(y_, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, n(out.batch),
                                              n(out.channels), n(out.height), n(out.width)));
    PACELINE_CUDNN(cudnnSetFilter4dDescriptor(w_, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW,
                                              n(s.channels), n(s.input.channels / s.groups),
                                              n(s.window.kernel_height), n(s.window.kernel_width)));
    PACELINE_CUDNN(cudnnSetConvolution2dDescriptor(
        operation_, n(s.window.pad_height), n(s.window.pad_width), n(s.window.stride_height),
        n(s.window.stride_width), 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    PACELINE_CUDNN(cudnnSetConvolutionGroupCount(operation_, n(s.groups)));
    // The default math type lets cuDNN take TF32 from compute capability 8.0 on.
    PACELINE_CUDNN(
        cudnnSetConvolutionMathType(operation_, tf32_ ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH));
    forward_ = chosen<cudnnConvolutionFwdAlgoPerf_t, CUDNN_CONVOLUTION_FWD_ALGO_COUNT>(
        cudnnGetConvolutionForwardAlgorithm_v7, x_, w_, y_);
    data_ = chosen<cudnnConvolutionBwdDataAlgoPerf_t, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT>(
        cudnnGetConvolutionBackwardDataAlgorithm_v7, w_, y_, x_);
    filter_ = chosen<cudnnConvolutionBwdFilterAlgoPerf_t, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT>(
        cudnnGetConvolutionBackwardFilterAlgorithm_v7, x_, y_, w_);
  }

  ~CudnnConvolution() override {
    for (const char* pass : {kForward, kInputGradient, kWeightGradient})
      context_.choices().erase({this, pass});
  }

  void forward(const float* x, const float* weight, float* y) override {
    if (!forward_measured_) {
      void* memory = context_.scratch(limit_);
      forward_ = fastest(forward_, [&](int most, int* count, cudnnConvolutionFwdAlgoPerf_t* found) {
        return cudnnFindConvolutionForwardAlgorithmEx(library_, x_, x, w_, weight, operation_, y_,
                                                      y, most, count, found, memory, limit_);
      });
      forward_measured_ = true;
      record(kForward, forward_);
    }
    PACELINE_CUDNN(cudnnConvolutionForward(library_, &one_, x_, x, w_, weight, operation_,
                                           forward_.algo, context_.scratch(forward_.memory),
                                           forward_.memory, &zero_, y_, y));
  }
  void input_gradient(const float* weight, const float* dy, float* dx) override {
    if (!data_measured_) {
      void* memory = context_.scratch(limit_);
      data_ = fastest(data_, [&](int most, int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
        return cudnnFindConvolutionBackwardDataAlgorithmEx(
            library_, w_, weight, y_, dy, operation_, x_, dx, most, count, found, memory, limit_);
      });
      data_measured_ = true;
      record(kInputGradient, data_);
    }
    PACELINE_CUDNN(cudnnConvolutionBackwardData(library_, &one_, w_, weight, y_, dy, operation_,
                                                data_.algo, context_.scratch(data_.memory),
                                                data_.memory, &zero_, x_, dx));
  }
  void weight_gradient(const float* x, const float* dy, float* d_weight) override {
    if (!filter_measured_) {
      void* memory = context_.scratch(limit_);
      filter_ = fastest(filter_, [&](int most, int* count,
                                     cudnnConvolutionBwdFilterAlgoPerf_t* found) {
        return cudnnFindConvolutionBackwardFilterAlgorithmEx(
            library_, x_, x, y_, dy, operation_, w_, d_weight, most, count, found, memory, limit_);
      });
      filter_measured_ = true;
      record(kWeightGradient, filter_);
    }
    PACELINE_CUDNN(cudnnConvolutionBackwardFilter(library_, &one_, x_, x, y_, dy, operation_,
                                                  filter_.algo, context_.scratch(filter_.memory),
                                                  filter_.memory, &zero_, w_, d_weight));
  }

 private:
  template <class Found>
  [[nodiscard]] bool usable(const Found& found) const {
    // The descriptor's math type governs; an algorithm that says it needs tensor cores is no fp32.
    const bool tensor_cores = found.mathType == CUDNN_TENSOR_OP_MATH ||
                              found.mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
    return found.status == CUDNN_STATUS_SUCCESS && found.determinism == CUDNN_DETERMINISTIC &&
           (tf32_ || !tensor_cores) && found.memory <= limit_;
  }
  template <class Found>
  void record(const char* pass, const Found& chosen) {
    context_.choices()[{this, pass}] = {
        shape_,        pass, static_cast<int>(chosen.algo), static_cast<int>(chosen.mathType),
        chosen.memory, true};
  }
  /// The heuristics' first usable algorithm, until the first pass measures.
  template <class Found, int most, class Query, class A, class B, class C>
  Found chosen(Query* query, const A& a, const B& b, const C& c) {
    std::array<Found, most> found{};
    int count = 0;
    PACELINE_CUDNN(query(library_, a, b, operation_, c, most, &count, found.data()));
    for (int i = 0; i < count; ++i) {
      if (usable(found[static_cast<std::size_t>(i)])) return found[static_cast<std::size_t>(i)];
    }
    throw std::runtime_error(
        "cuDNN has no deterministic fp32 algorithm for this convolution; "
        "set PACELINE_CUDA_CONVOLUTION=im2col");
  }
  /// The fastest usable algorithm by measurement; the given one if the stream is being captured.
  template <class Found, class Find>
  Found fastest(const Found& fallback, const Find& find) {
    cudaStreamCaptureStatus capturing{};
    PACELINE_CHECK(cudaStreamIsCapturing(context_.stream(), &capturing));
    if (capturing != cudaStreamCaptureStatusNone) return fallback;
    std::array<Found, 16> found{};
    int count = 0;
    PACELINE_CUDNN(find(static_cast<int>(found.size()), &count, found.data()));
    for (int i = 0; i < count; ++i) {  // sorted by time
      if (usable(found[static_cast<std::size_t>(i)])) return found[static_cast<std::size_t>(i)];
    }
    return fallback;
  }

  static constexpr const char *kForward = "forward", *kInputGradient = "input gradient",
                              *kWeightGradient = "weight gradient";

  Context& context_;
  std::string shape_;
  bool tf32_;
  cudnnHandle_t library_ = nullptr;
  std::size_t limit_ = 0;  ///< of the workspace
  Tensor x_, y_;
  Filter w_;
  Operation operation_;
  cudnnConvolutionFwdAlgoPerf_t forward_{};
  cudnnConvolutionBwdDataAlgoPerf_t data_{};
  cudnnConvolutionBwdFilterAlgoPerf_t filter_{};
  bool forward_measured_ = false, data_measured_ = false, filter_measured_ = false;
  const float one_ = 1.0f, zero_ = 0.0f;
};

}  // namespace

std::unique_ptr<Convolution> make_cudnn_convolution(Context& context,
                                                    const kernels::Conv2dShape& shape) {
  return std::make_unique<CudnnConvolution>(context, shape);
}

std::string cudnn_version() {
  const std::size_t version = cudnnGetVersion();  // 91900: 9.19.0
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace paceline::cuda
