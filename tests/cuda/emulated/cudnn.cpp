#include <cudnn.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "tests/cuda/emulated/runtime.hpp"

struct cudnnContext {
  cudaStream_t stream = nullptr;
};
struct cudnnTensorStruct {
  int n, c, h, w;
};
struct cudnnFilterStruct {
  int k, c, h, w;
};
struct cudnnConvolutionStruct {
  int pad_height, pad_width, stride_height, stride_width, groups = 1;
};

namespace {

/// A convolution with its descriptors' contents, as they were when it was enqueued.
struct Case {
  cudnnTensorStruct x;
  cudnnFilterStruct w;
  cudnnConvolutionStruct o;
  cudnnTensorStruct y;

  /// visit(index into x, into w, into y) for every product of the convolution.
  template <class Visit>
  void each(const Visit& visit) const {
    const int filters = w.k / o.groups;
    for (int n = 0; n < y.n; ++n)
      for (int k = 0; k < y.c; ++k)
        for (int i = 0; i < y.h; ++i)
          for (int j = 0; j < y.w; ++j)
            for (int c = 0; c < w.c; ++c)
              for (int r = 0; r < w.h; ++r)
                for (int s = 0; s < w.w; ++s) {
                  const int row = i * o.stride_height - o.pad_height + r;
                  const int column = j * o.stride_width - o.pad_width + s;
                  if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
                  const int channel = k / filters * w.c + c;
                  visit(((n * x.c + channel) * x.h + row) * x.w + column,
                        ((k * w.c + c) * w.h + r) * w.w + s, ((n * y.c + k) * y.h + i) * y.w + j);
                }
  }
};

/// Sums in double, rounded once into `out`.
void store(const std::vector<double>& sums, void* out) {
  for (std::size_t i = 0; i < sums.size(); ++i)
    static_cast<float*>(out)[i] = static_cast<float>(sums[i]);
}

template <class Found>
cudnnStatus_t offer(const cudnnConvolutionStruct& operation, int most, int* count, Found* found) {
  const char* refused = std::getenv("PACELINE_EMULATED_CUDNN_REFUSES");
  const bool none = refused != nullptr && operation.groups == std::atoi(refused);
  const Found offered[] = {
      {{}, CUDNN_STATUS_SUCCESS, 1, 0, CUDNN_NON_DETERMINISTIC, CUDNN_FMA_MATH},
      {{}, CUDNN_STATUS_SUCCESS, 2, 0, CUDNN_DETERMINISTIC, CUDNN_TENSOR_OP_MATH},
      {{}, CUDNN_STATUS_SUCCESS, 3, std::size_t{1} << 40, CUDNN_DETERMINISTIC, CUDNN_FMA_MATH},
      {{}, CUDNN_STATUS_NOT_SUPPORTED, -1, 0, CUDNN_DETERMINISTIC, CUDNN_FMA_MATH},
      {{}, CUDNN_STATUS_SUCCESS, 4, 4096, CUDNN_DETERMINISTIC, CUDNN_FMA_MATH}};
  *count = 0;
  for (const Found& one : offered) {
    if (*count < most && !(none && one.time == 4)) found[(*count)++] = one;
  }
  return CUDNN_STATUS_SUCCESS;
}

/// Measuring overwrites the result and waits, which a capture forbids.
template <class Found>
cudnnStatus_t measure(cudnnHandle_t handle, const cudnnConvolutionStruct& operation, void* out,
                      std::size_t size, int most, int* count, Found* found) {
  for (std::size_t i = 0; i < size; ++i) static_cast<float*>(out)[i] = NAN;
  if (cudaStreamSynchronize(handle->stream) != cudaSuccess) return CUDNN_STATUS_BAD_PARAM;
  return offer(operation, most, count, found);
}

std::size_t size_of(cudnnTensorDescriptor_t t) {
  return static_cast<std::size_t>(t->n) * static_cast<std::size_t>(t->c * t->h * t->w);
}
std::size_t size_of(cudnnFilterDescriptor_t t) {
  return static_cast<std::size_t>(t->k) * static_cast<std::size_t>(t->c * t->h * t->w);
}

template <class Descriptor>
cudnnStatus_t make(Descriptor** made) {
  *made = new Descriptor{};
  return CUDNN_STATUS_SUCCESS;
}
template <class Descriptor>
cudnnStatus_t unmake(Descriptor* made) {
  delete made;
  return CUDNN_STATUS_SUCCESS;
}

template <class Work>
cudnnStatus_t enqueue(cudnnHandle_t handle, std::size_t workspace_bytes, const Work& work) {
  if (workspace_bytes != 4096) return CUDNN_STATUS_BAD_PARAM;
  paceline::cuda::emulation::enqueue(handle->stream, work);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

const char* cudnnGetErrorString(cudnnStatus_t) {
  return "as the emulation sees it";
}
std::size_t cudnnGetVersion() {
  return 90000;
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return make(handle);
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  return unmake(handle);
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* descriptor) {
  return make(descriptor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t descriptor) {
  return unmake(descriptor);
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t descriptor, cudnnTensorFormat_t,
                                         cudnnDataType_t, int n, int c, int h, int w) {
  *descriptor = {n, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t* descriptor) {
  return make(descriptor);
}
cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t descriptor) {
  return unmake(descriptor);
}
cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t descriptor, cudnnDataType_t,
                                         cudnnTensorFormat_t, int k, int c, int h, int w) {
  *descriptor = {k, c, h, w};
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t* descriptor) {
  return make(descriptor);
}
cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t descriptor) {
  return unmake(descriptor);
}
cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t descriptor,
                                              int pad_height, int pad_width, int stride_height,
                                              int stride_width, int dilation_height,
                                              int dilation_width, cudnnConvolutionMode_t,
                                              cudnnDataType_t) {
  *descriptor = {pad_height, pad_width, stride_height, stride_width, 1};
  return dilation_height == 1 && dilation_width == 1 ? CUDNN_STATUS_SUCCESS
                                                     : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t descriptor, int groups) {
  descriptor->groups = groups;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t, cudnnMathType_t) {
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, cudnnTensorDescriptor_t,
                                                     cudnnFilterDescriptor_t,
                                                     cudnnConvolutionDescriptor_t o,
                                                     cudnnTensorDescriptor_t, int most, int* count,
                                                     cudnnConvolutionFwdAlgoPerf_t* found) {
  return offer(*o, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t o,
    cudnnTensorDescriptor_t, int most, int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
  return offer(*o, most, count, found);
}
cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnConvolutionDescriptor_t o,
    cudnnFilterDescriptor_t, int most, int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found) {
  return offer(*o, most, count, found);
}
cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t, const void*, cudnnFilterDescriptor_t,
    const void*, cudnnConvolutionDescriptor_t o, cudnnTensorDescriptor_t yd, void* y, int most,
    int* count, cudnnConvolutionFwdAlgoPerf_t* found, void*, std::size_t) {
  return measure(handle, *o, y, size_of(yd), most, count, found);
}
cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(
    cudnnHandle_t handle, cudnnFilterDescriptor_t, const void*, cudnnTensorDescriptor_t,
    const void*, cudnnConvolutionDescriptor_t o, cudnnTensorDescriptor_t xd, void* dx, int most,
    int* count, cudnnConvolutionBwdDataAlgoPerf_t* found, void*, std::size_t) {
  return measure(handle, *o, dx, size_of(xd), most, count, found);
}
cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(
    cudnnHandle_t handle, cudnnTensorDescriptor_t, const void*, cudnnTensorDescriptor_t,
    const void*, cudnnConvolutionDescriptor_t o, cudnnFilterDescriptor_t wd, void* dw, int most,
    int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found, void*, std::size_t) {
  return measure(handle, *o, dw, size_of(wd), most, count, found);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void*, cudnnTensorDescriptor_t xd,
                                      const void* x, cudnnFilterDescriptor_t wd, const void* w,
                                      cudnnConvolutionDescriptor_t o, cudnnConvolutionFwdAlgo_t,
                                      void*, std::size_t bytes, const void*,
                                      cudnnTensorDescriptor_t yd, void* y) {
  return enqueue(handle, bytes, [=, all = Case{*xd, *wd, *o, *yd}, n = size_of(yd)] {
    std::vector<double> sums(n);
    all.each([&](int in, int weight, int out) {
      sums[static_cast<std::size_t>(out)] +=
          double{static_cast<const float*>(x)[in]} * static_cast<const float*>(w)[weight];
    });
    store(sums, y);
  });
}
cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void*,
                                           cudnnFilterDescriptor_t wd, const void* w,
                                           cudnnTensorDescriptor_t yd, const void* dy,
                                           cudnnConvolutionDescriptor_t o,
                                           cudnnConvolutionBwdDataAlgo_t, void*, std::size_t bytes,
                                           const void*, cudnnTensorDescriptor_t xd, void* dx) {
  return enqueue(handle, bytes, [=, all = Case{*xd, *wd, *o, *yd}, n = size_of(xd)] {
    std::vector<double> sums(n);
    all.each([&](int in, int weight, int out) {
      sums[static_cast<std::size_t>(in)] +=
          double{static_cast<const float*>(dy)[out]} * static_cast<const float*>(w)[weight];
    });
    store(sums, dx);
  });
}
cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void*,
                                             cudnnTensorDescriptor_t xd, const void* x,
                                             cudnnTensorDescriptor_t yd, const void* dy,
                                             cudnnConvolutionDescriptor_t o,
                                             cudnnConvolutionBwdFilterAlgo_t, void*,
                                             std::size_t bytes, const void*,
                                             cudnnFilterDescriptor_t wd, void* dw) {
  return enqueue(handle, bytes, [=, all = Case{*xd, *wd, *o, *yd}, n = size_of(wd)] {
    std::vector<double> sums(n);
    all.each([&](int in, int weight, int out) {
      sums[static_cast<std::size_t>(weight)] +=
          double{static_cast<const float*>(dy)[out]} * static_cast<const float*>(x)[in];
    });
    store(sums, dw);
  });
}
