// Matrix products, through cuBLAS or cuDNN (cudnn.cpp).

#include <algorithm>
#include <cstdlib>

#include "kernels/conv2d/cuda.hpp"
#include "kernels/conv2d/im2col.cuh"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"

namespace paceline::cuda {
namespace {

class Conv2d final : public kernels::Layer {
 public:
  Conv2d(Context& context, const kernels::Conv2dShape& shape) : context_(context), shape_(shape) {
#ifdef PACELINE_HAVE_CUDNN
    const char* engine = std::getenv("PACELINE_CUDA_CONVOLUTION");
    if (engine == nullptr || std::string(engine) != "im2col") {
      convolution_ = make_cudnn_convolution(context, shape);
      return;
    }
#endif
    convolution_ = make_matrix_convolution(context, shape);
  }
  void forward(const Forward& pass) override {
    convolution_->forward(values(*pass.inputs[0]), pass.parameters[0], values(pass.output));
    if (shape_.bias) {
      const auto out = shape_.output();
      add_bias(context_, pass.parameters[1], static_cast<std::size_t>(out.channels),
               static_cast<std::size_t>(out.pixels()), static_cast<std::size_t>(out.elements()),
               values(pass.output));
    }
  }
  void backward(const Backward& pass) override {
    const float* dy = values(pass.output_gradient);
    if (pass.parameter_gradients[0] != nullptr) {
      convolution_->weight_gradient(values(*pass.inputs[0]), dy, pass.parameter_gradients[0]);
      if (shape_.bias) {
        const auto out = shape_.output();
        channel_sums(context_, dy, static_cast<std::size_t>(out.batch),
                     static_cast<std::size_t>(out.channels), static_cast<std::size_t>(out.pixels()),
                     pass.parameter_gradients[1]);
      }
    }
    if (pass.input_gradients[0] != nullptr) {
      convolution_->input_gradient(pass.parameters[0], dy, values(*pass.input_gradients[0]));
    }
  }

 private:
  Context& context_;
  kernels::Conv2dShape shape_;
  std::unique_ptr<Convolution> convolution_;
};

class MatrixConvolution final : public Convolution {
 public:
  MatrixConvolution(Context& context, const kernels::Conv2dShape& s)
      : context_(context), shape_(s) {
    const auto out = s.output();
    const auto& w = s.window;
    const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
    geometry_ = {narrow(s.input.channels / s.groups),
                 narrow(s.input.height),
                 narrow(s.input.width),
                 narrow(out.height),
                 narrow(out.width),
                 narrow(w.kernel_height),
                 narrow(w.kernel_width),
                 narrow(w.stride_height),
                 narrow(w.stride_width),
                 narrow(w.pad_height),
                 narrow(w.pad_width)};
    out_pixels_ = out.pixels();
    depth_ = geometry_.channels * w.kernel_height * w.kernel_width;
    filters_ = s.channels / s.groups;
    plain_ = w == kernels::Window{};  // 1x1: the image is its own column matrix
    // As many images at once as fit a quarter of a GiB of columns.
    const std::int64_t per_image = depth_ * out_pixels_ * static_cast<std::int64_t>(sizeof(float));
    at_once_ = std::clamp<std::int64_t>((std::int64_t{256} << 20) / per_image, 1, s.input.batch);
  }

  void forward(const float* x, const float* weight, float* y) override {
    for_each_part([&](std::int64_t group, std::int64_t image, std::int64_t count) {
      const float* columns = columns_of(x, group, image, count);
      row_major_products(context_, false, false, filters_, out_pixels_, depth_,
                         weight + group * filters_ * depth_, 0, columns, column_step(), 0.0f,
                         y + output_at(group, image), shape_.channels * out_pixels_, count);
    });
  }
  void input_gradient(const float* weight, const float* dy, float* dx) override {
    for_each_part([&](std::int64_t group, std::int64_t image, std::int64_t count) {
      float* columns = plain_ ? dx + input_at(group, image) : scratch(count);
      row_major_products(context_, true, false, depth_, out_pixels_, filters_,
                         weight + group * filters_ * depth_, 0, dy + output_at(group, image),
                         shape_.channels * out_pixels_, 0.0f, columns, column_step(), count);
      if (plain_) return;
      const std::size_t n =
          static_cast<std::size_t>(count * geometry_.channels * shape_.input.pixels());
      PACELINE_LAUNCH(context_.stream(), context_.blocks(n), layer_threads, (col2im_kernel),
                      columns, geometry_, image_stride(), n, dx + input_at(group, image));
    });
  }
  void weight_gradient(const float* x, const float* dy, float* d_weight) override {
    for_each_part([&](std::int64_t group, std::int64_t image, std::int64_t count) {
      const float* columns = columns_of(x, group, image, count);
      for (std::int64_t i = 0; i < count;
           ++i) {  // one after the other into the same sum: a fixed order
        row_major_product(context_, false, true, filters_, depth_, out_pixels_,
                          dy + output_at(group, image + i), columns + i * column_step(),
                          image + i == 0 ? 0.0f : 1.0f, d_weight + group * filters_ * depth_);
      }
    });
  }

 private:
  template <class Part>
  void for_each_part(const Part& part) {
    for (std::int64_t group = 0; group < shape_.groups; ++group) {
      for (std::int64_t image = 0; image < shape_.input.batch; image += at_once_) {
        part(group, image, std::min(at_once_, shape_.input.batch - image));
      }
    }
  }
  std::size_t image_stride() const {
    return static_cast<std::size_t>(shape_.input.channels * shape_.input.pixels());
  }
  std::int64_t column_step() const {
    return plain_ ? static_cast<std::int64_t>(image_stride()) : depth_ * out_pixels_;
  }
  std::int64_t input_at(std::int64_t group, std::int64_t image) const {
    return (image * shape_.input.channels + group * geometry_.channels) * shape_.input.pixels();
  }
  std::int64_t output_at(std::int64_t group, std::int64_t image) const {
    return (image * shape_.channels + group * filters_) * out_pixels_;
  }
  float* scratch(std::int64_t count) {
    return static_cast<float*>(
        context_.scratch(static_cast<std::size_t>(count * depth_ * out_pixels_) * sizeof(float)));
  }
  const float* columns_of(const float* x, std::int64_t group, std::int64_t image,
                          std::int64_t count) {
    if (plain_) return x + input_at(group, image);
    float* columns = scratch(count);
    const auto n = static_cast<std::size_t>(count * depth_ * out_pixels_);
    PACELINE_LAUNCH(context_.stream(), context_.blocks(n), layer_threads, (im2col_kernel),
                    x + input_at(group, image), geometry_, image_stride(), n, columns);
    return columns;
  }

  Context& context_;
  kernels::Conv2dShape shape_;
  ConvGeometry geometry_{};
  std::int64_t out_pixels_ = 0, depth_ = 0, filters_ = 0, at_once_ = 1;
  bool plain_ = false;
};

}  // namespace

std::unique_ptr<Convolution> make_matrix_convolution(Context& context,
                                                     const kernels::Conv2dShape& shape) {
  return std::make_unique<MatrixConvolution>(context, shape);
}

std::string convolution_engine() {
#ifdef PACELINE_HAVE_CUDNN
  const char* engine = std::getenv("PACELINE_CUDA_CONVOLUTION");
  if (engine == nullptr || std::string(engine) != "im2col") return "cudnn";
#endif
  return "im2col+cublas";
}

}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> Conv2dShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Conv2d>(context, *this);
}

}  // namespace paceline::kernels
