#include <cudnn.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "kernels/conv2d/cuda.hpp"
#include "kernels/cuda/backend.hpp"

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

/// cuDNN lacks an algorithm that we may use for this convolution.
class NoAlgorithm : public std::runtime_error {
  using runtime_error::runtime_error;
};

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
    forward_.guess(*this, cudnnGetConvolutionForwardAlgorithm_v7, x_, w_, y_);
    data_.guess(*this, cudnnGetConvolutionBackwardDataAlgorithm_v7, w_, y_, x_);
    filter_.guess(*this, cudnnGetConvolutionBackwardFilterAlgorithm_v7, x_, y_, w_);
  }

  ~CudnnConvolution() override {
    for (const char* pass : {forward_.name(), data_.name(), filter_.name()})
      context_.choices().erase({this, pass});
  }

  void forward(const float* x, const float* weight, float* y) override {
    forward_.settle(*this, [&](int most, int* count, cudnnConvolutionFwdAlgoPerf_t* found) {
      return cudnnFindConvolutionForwardAlgorithmEx(library_, x_, x, w_, weight, operation_, y_, y,
                                                    most, count, found, context_.scratch(limit_),
                                                    limit_);
    });
    PACELINE_CUDNN(cudnnConvolutionForward(library_, &one_, x_, x, w_, weight, operation_,
                                           forward_.chosen().algo, workspace(forward_),
                                           forward_.chosen().memory, &zero_, y_, y));
  }
  void input_gradient(const float* weight, const float* dy, float* dx) override {
    data_.settle(*this, [&](int most, int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
      return cudnnFindConvolutionBackwardDataAlgorithmEx(library_, w_, weight, y_, dy, operation_,
                                                         x_, dx, most, count, found,
                                                         context_.scratch(limit_), limit_);
    });
    PACELINE_CUDNN(cudnnConvolutionBackwardData(library_, &one_, w_, weight, y_, dy, operation_,
                                                data_.chosen().algo, workspace(data_),
                                                data_.chosen().memory, &zero_, x_, dx));
  }
  void weight_gradient(const float* x, const float* dy, float* d_weight) override {
    filter_.settle(*this, [&](int most, int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found) {
      return cudnnFindConvolutionBackwardFilterAlgorithmEx(library_, x_, x, y_, dy, operation_, w_,
                                                           d_weight, most, count, found,
                                                           context_.scratch(limit_), limit_);
    });
    PACELINE_CUDNN(cudnnConvolutionBackwardFilter(library_, &one_, x_, x, y_, dy, operation_,
                                                  filter_.chosen().algo, workspace(filter_),
                                                  filter_.chosen().memory, &zero_, w_, d_weight));
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
  /// The algorithm of one pass: the heuristics' first usable one until the pass first runs, then
  /// the fastest usable one as measured.
  template <class Found, int most>
  class Pass {
   public:
    explicit Pass(const char* name) : name_(name) {}

    template <class Query, class A, class B, class C>
    void guess(CudnnConvolution& layer, Query* query, const A& a, const B& b, const C& c) {
      std::array<Found, most> found{};
      int count = 0;
      const cudnnStatus_t status =
          query(layer.library_, a, b, layer.operation_, c, most, &count, found.data());
      if (status != CUDNN_STATUS_SUCCESS) throw NoAlgorithm(cudnnGetErrorString(status));
      if (!take_first_usable(layer, found, count)) {
        throw NoAlgorithm("cuDNN offers no deterministic " +
                          std::string(layer.tf32_ ? "" : "fp32 ") + "algorithm within " +
                          std::to_string(layer.limit_ >> 20) + " MiB of workspace");
      }
    }
    /// Not while the stream is being captured: measuring waits for it.
    template <class Find>
    void settle(CudnnConvolution& layer, const Find& find) {
      if (settled_) return;
      cudaStreamCaptureStatus capturing{};
      PACELINE_CHECK(cudaStreamIsCapturing(layer.context_.stream(), &capturing));
      bool measured = false;
      if (capturing == cudaStreamCaptureStatusNone) {
        std::array<Found, 16> found{};
        int count = 0;
        measured =
            find(static_cast<int>(found.size()), &count, found.data()) == CUDNN_STATUS_SUCCESS &&
            take_first_usable(layer, found, count);  // sorted by time
        settled_ = true;
      }
      layer.context_.choices()[{&layer, name_}] = {.shape = layer.shape_,
                                                   .pass = name_,
                                                   .algorithm = static_cast<int>(chosen_.algo),
                                                   .math = static_cast<int>(chosen_.mathType),
                                                   .workspace_bytes = chosen_.memory,
                                                   .measured = measured,
                                                   .workspace_limit_bytes = layer.limit_,
                                                   .instead = ""};
    }
    [[nodiscard]] const Found& chosen() const { return chosen_; }
    [[nodiscard]] const char* name() const { return name_; }

   private:
    template <class List>
    bool take_first_usable(const CudnnConvolution& layer, const List& found, int count) {
      for (int i = 0; i < count; ++i) {
        const Found& one = found[static_cast<std::size_t>(i)];
        if (!layer.usable(one)) continue;
        chosen_ = one;
        return true;
      }
      return false;
    }
    const char* name_;
    Found chosen_{};
    bool settled_ = false;
  };
  template <class P>
  void* workspace(const P& pass) {
    return context_.scratch(pass.chosen().memory);
  }

  Context& context_;
  std::string shape_;
  bool tf32_;
  cudnnHandle_t library_ = nullptr;
  std::size_t limit_ = 0;  ///< of the workspace
  Tensor x_, y_;
  Filter w_;
  Operation operation_;
  Pass<cudnnConvolutionFwdAlgoPerf_t, CUDNN_CONVOLUTION_FWD_ALGO_COUNT> forward_{"forward"};
  Pass<cudnnConvolutionBwdDataAlgoPerf_t, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT> data_{
      "input gradient"};
  Pass<cudnnConvolutionBwdFilterAlgoPerf_t, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT> filter_{
      "weight gradient"};
  const float one_ = 1.0f, zero_ = 0.0f;
};

/// A layer that cuDNN cannot compute as we need it: one such layer must not end a whole profile.
class InsteadOfCudnn final : public Convolution {
 public:
  InsteadOfCudnn(Context& context, const kernels::Conv2dShape& shape, const std::string& reason)
      : context_(context), convolution_(make_matrix_convolution(context, shape)) {
    context_.choices()[{this, kAll}] = {
        .shape = described(shape), .pass = kAll, .instead = "im2col+cublas: " + reason};
  }
  ~InsteadOfCudnn() override { context_.choices().erase({this, kAll}); }
  void forward(const float* x, const float* weight, float* y) override {
    convolution_->forward(x, weight, y);
  }
  void input_gradient(const float* weight, const float* dy, float* dx) override {
    convolution_->input_gradient(weight, dy, dx);
  }
  void weight_gradient(const float* x, const float* dy, float* d_weight) override {
    convolution_->weight_gradient(x, dy, d_weight);
  }

 private:
  static constexpr const char* kAll = "all";
  Context& context_;
  std::unique_ptr<Convolution> convolution_;
};

}  // namespace

std::unique_ptr<Convolution> make_cudnn_convolution(Context& context,
                                                    const kernels::Conv2dShape& shape) {
  try {
    return std::make_unique<CudnnConvolution>(context, shape);
  } catch (const NoAlgorithm& reason) {
    return std::make_unique<InsteadOfCudnn>(context, shape, reason.what());
  }
}

std::string cudnn_version() {
  const std::size_t version = cudnnGetVersion();  // 91900: 9.19.0
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace paceline::cuda
