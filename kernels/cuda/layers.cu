#include "kernels/cuda/layers.cuh"

#include <algorithm>
#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/convolution.hpp"
#include "kernels/cuda/pointwise_launch.cuh"

namespace paceline::cuda {
namespace {

using kernels::Activation;
using Forward = kernels::ForwardPass<float>;
using Backward = kernels::BackwardPass<float>;

unsigned whole(std::size_t n) {
  return static_cast<unsigned>(n);
}
unsigned blocks_of(std::size_t n, unsigned threads) {
  return static_cast<unsigned>((n + threads - 1) / threads);
}

/// Sum over outer and inner of x[outer][channel][inner], per channel.
void channel_sums(Context& context, const float* x, std::size_t outer, std::size_t channels,
                  std::size_t inner, float* sums) {
  if (inner == 1) {
    PACELINE_LAUNCH(context.stream(), blocks_of(channels, 32), layer_threads, (column_sums_kernel),
                    x, outer, channels, sums);
  } else {
    PACELINE_LAUNCH(context.stream(), whole(channels), layer_threads, (channel_sums_kernel), x,
                    outer, channels, inner, sums);
  }
}
void add_bias(Context& context, const float* bias, std::size_t channels, std::size_t inner,
              std::size_t n, float* y) {
  PACELINE_LAUNCH(context.stream(), context.blocks(n), layer_threads, (add_bias_kernel), bias,
                  channels, inner, n, y);
}

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

class Dense final : public kernels::Layer {
 public:
  Dense(Context& context, const kernels::DenseShape& shape) : context_(context), shape_(shape) {}
  void forward(const Forward& pass) override {
    row_major_product(context_, false, true, shape_.rows, shape_.outputs, shape_.inputs,
                      values(*pass.inputs[0]), pass.parameters[0], 0.0f, values(pass.output));
    if (shape_.bias) {
      add_bias(context_, pass.parameters[1], static_cast<std::size_t>(shape_.outputs), 1,
               static_cast<std::size_t>(shape_.rows * shape_.outputs), values(pass.output));
    }
  }
  void backward(const Backward& pass) override {
    const float* dy = values(pass.output_gradient);
    if (pass.parameter_gradients[0] != nullptr) {
      row_major_product(context_, true, false, shape_.outputs, shape_.inputs, shape_.rows, dy,
                        values(*pass.inputs[0]), 0.0f, pass.parameter_gradients[0]);
      if (shape_.bias) {
        channel_sums(context_, dy, static_cast<std::size_t>(shape_.rows),
                     static_cast<std::size_t>(shape_.outputs), 1, pass.parameter_gradients[1]);
      }
    }
    if (pass.input_gradients[0] != nullptr) {
      row_major_product(context_, false, false, shape_.rows, shape_.inputs, shape_.outputs, dy,
                        pass.parameters[0], 0.0f, values(*pass.input_gradients[0]));
    }
  }

 private:
  Context& context_;
  kernels::DenseShape shape_;
};

class BatchNorm final : public kernels::Layer {
 public:
  BatchNorm(Context& context, const kernels::BatchNormShape& shape)
      : context_(context),
        shape_(shape),
        plane_{whole(static_cast<std::size_t>(shape.input.batch)),
               whole(static_cast<std::size_t>(shape.input.channels)),
               whole(static_cast<std::size_t>(shape.input.pixels()))} {
    const unsigned per_channel = plane_.batch * plane_.pixels;
    const unsigned wanted =
        blocks_of(static_cast<std::size_t>(context.multiprocessors()) * 8, plane_.channels);
    parts_ = std::clamp(wanted, 1u, std::max(1u, per_channel / (4 * layer_threads)));
    statistics_ = DeviceMemory(plane_.channels * 4 * sizeof(float));
    partial_ = DeviceMemory(std::size_t{plane_.channels} * parts_ * sizeof(Moments));
  }
  void forward(const Forward& pass) override {
    const float* x = values(*pass.inputs[0]);
    const float* mean_used = mean();
    const unsigned channel_blocks = blocks_of(plane_.channels, layer_threads);
    if (pass.training) {
      PACELINE_LAUNCH(context_.stream(), dim3(plane_.channels, parts_), layer_threads,
                      (batch_norm_moments_kernel), x, plane_, partial());
      PACELINE_LAUNCH(context_.stream(), channel_blocks, layer_threads,
                      (batch_norm_statistics_kernel), x, plane_, partial(), parts_, shape_.epsilon,
                      shape_.momentum, mean(), inverse(), pass.state,
                      pass.state == nullptr ? nullptr : pass.state + plane_.channels);
    } else {
      mean_used = pass.state;
      PACELINE_LAUNCH(context_.stream(), channel_blocks, layer_threads, (inverse_deviation_kernel),
                      pass.state + plane_.channels, plane_.channels, shape_.epsilon, inverse());
    }
    PACELINE_LAUNCH(context_.stream(), context_.blocks(elements()), layer_threads,
                    (batch_norm_apply_kernel), x, plane_, mean_used, inverse(), pass.parameters[0],
                    pass.parameters[1], shape_.relu, values(pass.output));
  }
  void backward(const Backward& pass) override {
    const float* x = values(*pass.inputs[0]);
    const float* y = values(pass.output);
    const float* dy = values(pass.output_gradient);
    float* d_scale = pass.parameter_gradients[0] != nullptr ? pass.parameter_gradients[0]
                                                            : inverse() + plane_.channels;
    float* d_shift = pass.parameter_gradients[1] != nullptr ? pass.parameter_gradients[1]
                                                            : inverse() + 2 * plane_.channels;
    PACELINE_LAUNCH(context_.stream(), dim3(plane_.channels, parts_), layer_threads,
                    (batch_norm_gradient_sums_kernel), x, y, dy, plane_, mean(), inverse(),
                    shape_.relu, partial());
    PACELINE_LAUNCH(context_.stream(), blocks_of(plane_.channels, layer_threads), layer_threads,
                    (batch_norm_parameter_gradients_kernel), partial(), parts_, plane_.channels,
                    d_scale, d_shift);
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(elements()), layer_threads,
                    (batch_norm_input_gradient_kernel), x, y, dy, plane_, mean(), inverse(),
                    pass.parameters[0], d_scale, d_shift, shape_.relu,
                    values(*pass.input_gradients[0]));
  }

 private:
  float* mean() { return statistics_.floats(); }
  float* inverse() { return statistics_.floats() + plane_.channels; }
  Moments* partial() { return static_cast<Moments*>(partial_.get()); }
  std::size_t elements() const {
    return std::size_t{plane_.batch} * plane_.channels * plane_.pixels;
  }

  Context& context_;
  kernels::BatchNormShape shape_;
  Plane plane_;
  unsigned parts_ = 1;
  DeviceMemory statistics_, partial_;
};

class LayerNorm final : public kernels::Layer {
 public:
  LayerNorm(Context& context, const kernels::LayerNormShape& shape)
      : context_(context),
        epsilon_(shape.epsilon),
        rows_(static_cast<std::size_t>(shape.rows)),
        features_(static_cast<std::size_t>(shape.features)),
        statistics_((2 * rows_ + 2 * features_) * sizeof(float)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (layer_norm_kernel),
                    values(*pass.inputs[0]), features_, epsilon_, pass.parameters[0],
                    pass.parameters[1], mean(), mean() + rows_, values(pass.output));
  }
  void backward(const Backward& pass) override {
    const float* x = values(*pass.inputs[0]);
    const float* dy = values(pass.output_gradient);
    if (pass.parameter_gradients[0] != nullptr) {
      float* unused = mean() + 2 * rows_;
      PACELINE_LAUNCH(
          context_.stream(), blocks_of(features_, 32), layer_threads,
          (layer_norm_parameter_gradients_kernel), x, dy, rows_, features_, mean(), mean() + rows_,
          pass.parameter_gradients[0],
          pass.parameter_gradients[1] != nullptr ? pass.parameter_gradients[1] : unused);
    }
    if (pass.input_gradients[0] != nullptr) {
      PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads,
                      (layer_norm_input_gradient_kernel), x, dy, features_, pass.parameters[0],
                      mean(), mean() + rows_, values(*pass.input_gradients[0]));
    }
  }

 private:
  float* mean() { return statistics_.floats(); }
  Context& context_;
  double epsilon_;
  std::size_t rows_, features_;
  DeviceMemory statistics_;
};

class Pointwise final : public kernels::Layer {
 public:
  Pointwise(Context& context, const kernels::PointwiseShape& shape)
      : context_(context),
        function_(shape.function),
        n_(static_cast<std::size_t>(kernels::elements(shape.dims))) {}
  void forward(const Forward& pass) override {
    const Arrays<1, 1> arrays{{values(*pass.inputs[0])}, {values(pass.output)}};
    switch (function_) {
      case kernels::PointwiseFunction::relu:
        return pointwise<Relu, 1, 1>(context_, {}, arrays, n_);
      case kernels::PointwiseFunction::tanh:
        return pointwise<Tanh, 1, 1>(context_, {}, arrays, n_);
      case kernels::PointwiseFunction::sigmoid:
        return pointwise<Sigmoid, 1, 1>(context_, {}, arrays, n_);
      case kernels::PointwiseFunction::gelu:
        return pointwise<Gelu, 1, 1>(context_, {}, arrays, n_);
    }
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    const float* dy = values(pass.output_gradient);
    const Arrays<2, 1> from_input{{values(*pass.inputs[0]), dy},
                                  {values(*pass.input_gradients[0])}};
    const Arrays<2, 1> from_output{{values(pass.output), dy}, {values(*pass.input_gradients[0])}};
    switch (function_) {
      case kernels::PointwiseFunction::relu:
        return pointwise<ReluGradient, 2, 1>(context_, {}, from_input, n_);
      case kernels::PointwiseFunction::tanh:
        return pointwise<TanhGradient, 2, 1>(context_, {}, from_output, n_);
      case kernels::PointwiseFunction::sigmoid:
        return pointwise<SigmoidGradient, 2, 1>(context_, {}, from_output, n_);
      case kernels::PointwiseFunction::gelu:
        return pointwise<GeluGradient, 2, 1>(context_, {}, from_input, n_);
    }
  }

 private:
  Context& context_;
  kernels::PointwiseFunction function_;
  std::size_t n_;
};

class Pool final : public kernels::Layer {
 public:
  Pool(Context& context, const kernels::PoolShape& s)
      : context_(context), maximum_(s.kind == kernels::PoolKind::max) {
    const auto out = s.output();
    const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
    geometry_ = {narrow(s.input.batch * s.input.channels),
                 narrow(s.input.height),
                 narrow(s.input.width),
                 narrow(out.height),
                 narrow(out.width),
                 narrow(s.window.kernel_height),
                 narrow(s.window.kernel_width),
                 narrow(s.window.stride_height),
                 narrow(s.window.stride_width),
                 narrow(s.window.pad_height),
                 narrow(s.window.pad_width),
                 s.count_padding};
    inputs_ = static_cast<std::size_t>(s.input.elements());
    outputs_ = static_cast<std::size_t>(out.elements());
    if (maximum_) where_ = DeviceMemory(outputs_ * sizeof(std::int32_t));
  }
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(outputs_), layer_threads, (pool_kernel),
                    values(*pass.inputs[0]), geometry_, maximum_, values(pass.output), where());
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(inputs_), layer_threads,
                    (pool_gradient_kernel), values(pass.output_gradient), where(), geometry_,
                    maximum_, values(*pass.input_gradients[0]));
  }

 private:
  std::int32_t* where() { return static_cast<std::int32_t*>(where_.get()); }
  Context& context_;
  bool maximum_;
  PoolGeometry geometry_{};
  std::size_t inputs_ = 0, outputs_ = 0;
  DeviceMemory where_;
};

class Lrn final : public kernels::Layer {
 public:
  Lrn(Context& context, const kernels::LrnShape& s)
      : context_(context),
        geometry_{static_cast<int>(s.input.channels),
                  static_cast<std::size_t>(s.input.pixels()),
                  static_cast<std::size_t>(s.input.elements()),
                  static_cast<int>(s.size),
                  static_cast<float>(s.alpha),
                  static_cast<float>(s.beta),
                  static_cast<float>(s.k)},
        base_(geometry_.total * sizeof(float)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(geometry_.total), layer_threads,
                    (lrn_kernel), values(*pass.inputs[0]), geometry_, base_.floats(),
                    values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(geometry_.total), layer_threads,
                    (lrn_gradient_kernel), values(*pass.inputs[0]), base_.floats(),
                    values(pass.output), values(pass.output_gradient), geometry_,
                    values(*pass.input_gradients[0]));
  }

 private:
  Context& context_;
  LrnGeometry geometry_;
  DeviceMemory base_;
};

class AddLayer final : public kernels::Layer {
 public:
  AddLayer(Context& context, const kernels::AddShape& s)
      : context_(context), relu_(s.relu), n_(static_cast<std::size_t>(kernels::elements(s.dims))) {
    if (s.inputs > add_inputs) {
      throw InputError("add: the CUDA backend sums at most " + std::to_string(add_inputs) +
                       " inputs, found " + std::to_string(s.inputs));
    }
  }
  void forward(const Forward& pass) override {
    AddInputs inputs{};
    for (const Activation* input : pass.inputs) inputs.in[inputs.count++] = values(*input);
    PACELINE_LAUNCH(context_.stream(), context_.blocks(n_), layer_threads, (add_kernel), inputs, n_,
                    relu_, values(pass.output));
  }
  void backward(const Backward& pass) override {
    const float* dy = values(pass.output_gradient);
    for (Activation* gradient : pass.input_gradients) {
      if (gradient == nullptr) continue;
      if (relu_) {
        pointwise<ReluGradient, 2, 1>(context_, {},
                                      {{values(pass.output), dy}, {values(*gradient)}}, n_);
      } else {
        PACELINE_CHECK(cudaMemcpyAsync(values(*gradient), dy, n_ * sizeof(float),
                                       cudaMemcpyDeviceToDevice, context_.stream()));
      }
    }
  }

 private:
  Context& context_;
  bool relu_;
  std::size_t n_;
};

class Concat final : public kernels::Layer {
 public:
  Concat(Context& context, const kernels::ConcatShape& s)
      : context_(context), batch_(static_cast<std::size_t>(s.batch)) {
    for (const std::int64_t channels : s.channels) {
      rows_.push_back(static_cast<std::size_t>(channels * s.height * s.width) * sizeof(float));
      total_ += rows_.back();
    }
  }
  void forward(const Forward& pass) override {
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows_.size(); at += rows_[i++]) {
      copy(reinterpret_cast<char*>(values(pass.output)) + at, total_, values(*pass.inputs[i]),
           rows_[i], rows_[i]);
    }
  }
  void backward(const Backward& pass) override {
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows_.size(); at += rows_[i++]) {
      if (pass.input_gradients[i] == nullptr) continue;
      copy(values(*pass.input_gradients[i]), rows_[i],
           reinterpret_cast<const char*>(values(pass.output_gradient)) + at, total_, rows_[i]);
    }
  }

 private:
  void copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
            std::size_t width) {
    PACELINE_CHECK(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, batch_,
                                     cudaMemcpyDeviceToDevice, context_.stream()));
  }
  Context& context_;
  std::size_t batch_, total_ = 0;
  std::vector<std::size_t> rows_;  ///< bytes per image of each input
};

class Reshape final : public kernels::Layer {
 public:
  Reshape(Context& context, const kernels::ReshapeShape& s)
      : context_(context),
        bytes_(static_cast<std::size_t>(kernels::elements(s.input)) * sizeof(float)) {}
  void forward(const Forward& pass) override { copy(values(pass.output), values(*pass.inputs[0])); }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] != nullptr)
      copy(values(*pass.input_gradients[0]), values(pass.output_gradient));
  }

 private:
  void copy(float* to, const float* from) {
    PACELINE_CHECK(cudaMemcpyAsync(to, from, bytes_, cudaMemcpyDeviceToDevice, context_.stream()));
  }
  Context& context_;
  std::size_t bytes_;
};

class SubsamplePad final : public kernels::Layer {
 public:
  SubsamplePad(Context& context, const kernels::SubsamplePadShape& s) : context_(context) {
    const auto out = s.output();
    const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
    geometry_ = {narrow(s.input.channels), narrow(s.input.height),
                 narrow(s.input.width),    narrow(out.channels),
                 narrow(out.height),       narrow(out.width),
                 narrow(s.stride),         narrow((s.channels - s.input.channels) / 2)};
    inputs_ = static_cast<std::size_t>(s.input.elements());
    outputs_ = static_cast<std::size_t>(out.elements());
  }
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(outputs_), layer_threads,
                    (subsample_pad_kernel), values(*pass.inputs[0]), geometry_, outputs_,
                    values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(inputs_), layer_threads,
                    (subsample_pad_gradient_kernel), values(pass.output_gradient), geometry_,
                    inputs_, values(*pass.input_gradients[0]));
  }

 private:
  Context& context_;
  ShortcutGeometry geometry_{};
  std::size_t inputs_ = 0, outputs_ = 0;
};

class Dropout final : public kernels::Layer {
 public:
  Dropout(Context& context, const kernels::DropoutShape& s)
      : context_(context),
        n_(static_cast<std::size_t>(kernels::elements(s.dims))),
        layer_(s.layer),
        limit_(static_cast<std::uint64_t>(std::round(s.probability * 0x1p32))),
        factor_(static_cast<float>(1 / (1 - s.probability))) {}
  void forward(const Forward& pass) override {
    if (!pass.training) {
      PACELINE_CHECK(cudaMemcpyAsync(values(pass.output), values(*pass.inputs[0]),
                                     n_ * sizeof(float), cudaMemcpyDeviceToDevice,
                                     context_.stream()));
      return;
    }
    seed_ = pass.seed;
    apply(values(*pass.inputs[0]), values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] != nullptr)
      apply(values(pass.output_gradient), values(*pass.input_gradients[0]));
  }

 private:
  void apply(const float* from, float* to) {
    PACELINE_LAUNCH(context_.stream(), context_.blocks((n_ + 3) / 4), layer_threads,
                    (dropout_kernel), from, n_, seed_, layer_, limit_, factor_, to);
  }
  Context& context_;
  std::size_t n_;
  std::uint64_t layer_, limit_, seed_ = 0;
  float factor_;
};

class Embedding final : public kernels::Layer {
 public:
  Embedding(Context& context, const kernels::EmbeddingShape& s)
      : context_(context),
        rows_(static_cast<std::size_t>(s.rows)),
        entries_(static_cast<std::size_t>(s.entries)),
        features_(static_cast<std::size_t>(s.features)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (embedding_kernel),
                    values(*pass.inputs[0]), pass.parameters[0], entries_, features_,
                    values(pass.output), context_.fault());
  }
  void backward(const Backward& pass) override {
    float* gradient = pass.parameter_gradients[0];
    if (gradient == nullptr) return;
    PACELINE_CHECK(
        cudaMemsetAsync(gradient, 0, entries_ * features_ * sizeof(float), context_.stream()));
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (embedding_gradient_kernel),
                    values(*pass.inputs[0]), values(pass.output_gradient), rows_, entries_,
                    features_, gradient, context_.fault());
  }

 private:
  Context& context_;
  std::size_t rows_, entries_, features_;
};

class SoftmaxLoss final : public kernels::Layer {
 public:
  SoftmaxLoss(Context& context, const kernels::SoftmaxLossShape& s)
      : context_(context),
        rows_(static_cast<std::size_t>(s.rows)),
        classes_(static_cast<std::size_t>(s.classes)),
        memory_(4 * rows_ * sizeof(float)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (softmax_loss_kernel),
                    values(*pass.inputs[0]), values(*pass.inputs[1]), classes_, row(0), row(1),
                    row(2), row(3), context_.fault());
    PACELINE_LAUNCH(context_.stream(), 1, layer_threads, (loss_means_kernel), row(0), row(1), rows_,
                    values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(rows_ * classes_), layer_threads,
                    (softmax_gradient_kernel), values(*pass.inputs[0]), values(*pass.inputs[1]),
                    row(2), row(3), values(pass.output_gradient), rows_, classes_,
                    values(*pass.input_gradients[0]));
  }

 private:
  float* row(std::size_t which) { return memory_.floats() + which * rows_; }
  Context& context_;
  std::size_t rows_, classes_;
  DeviceMemory memory_;  ///< per row: loss, correct, largest logit, log of the sum
};

class Lstm final : public kernels::Layer {
 public:
  Lstm(Context& context, const kernels::LstmShape& s)
      : context_(context),
        shape_(s),
        geometry_{static_cast<std::size_t>(s.batch), static_cast<std::size_t>(s.steps),
                  static_cast<std::size_t>(s.hidden)} {
    const std::size_t step = geometry_.batch * geometry_.hidden;
    const std::size_t all = step * geometry_.steps;
    memory_ = DeviceMemory((6 * all + 4 * step) * sizeof(float));
    gates_ = memory_.floats();
    cells_ = gates_ + 4 * all;
    previous_ = cells_ + all;
    first_ = previous_ + all;
    d_hidden_ = first_ + 2 * step;
    d_cell_ = d_hidden_ + step;
  }
  void forward(const Forward& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::size_t step = geometry_.batch * geometry_.hidden;
    float* output = values(pass.output);
    PACELINE_CHECK(cudaMemcpyAsync(first_, pass.state, 2 * step * sizeof(float),
                                   cudaMemcpyDeviceToDevice, context_.stream()));
    row_major_product(context_, false, true, batch * steps, 4 * hidden, inputs,
                      values(*pass.inputs[0]), pass.parameters[0], 0.0f, gates_);
    for (std::int64_t t = 0; t < steps; ++t) {
      const float* before = t == 0 ? first_ : output + (t - 1) * hidden;
      row_major_product(context_, false, true, batch, 4 * hidden, hidden, before,
                        pass.parameters[1], 1.0f, gates_ + t * 4 * hidden,
                        t == 0 ? hidden : steps * hidden, 0, steps * 4 * hidden);
      PACELINE_LAUNCH(
          context_.stream(), context_.blocks(step), layer_threads, (lstm_step_kernel), geometry_,
          static_cast<std::size_t>(t), biases > 0 ? pass.parameters[2] : nullptr,
          biases > 1 ? pass.parameters[3] : nullptr, first_ + step, gates_, cells_, output);
    }
    PACELINE_LAUNCH(context_.stream(), context_.blocks(step), layer_threads, (lstm_state_kernel),
                    geometry_, output, cells_, pass.state);
  }
  void backward(const Backward& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::size_t step = geometry_.batch * geometry_.hidden;
    const std::int64_t rows = batch * steps;
    for (std::int64_t t = steps - 1; t >= 0; --t) {
      PACELINE_LAUNCH(context_.stream(), context_.blocks(step), layer_threads,
                      (lstm_step_gradient_kernel), geometry_, static_cast<std::size_t>(t),
                      values(pass.output_gradient), first_ + step, cells_, d_hidden_, d_cell_,
                      gates_);
      if (t > 0) {
        row_major_product(context_, false, false, batch, hidden, 4 * hidden,
                          gates_ + t * 4 * hidden, pass.parameters[1], 0.0f, d_hidden_,
                          steps * 4 * hidden);
      }
    }
    if (pass.parameter_gradients[0] != nullptr) {
      row_major_product(context_, true, false, 4 * hidden, inputs, rows, gates_,
                        values(*pass.inputs[0]), 0.0f, pass.parameter_gradients[0]);
      const std::size_t all = step * geometry_.steps;
      PACELINE_LAUNCH(context_.stream(), context_.blocks(all), layer_threads,
                      (lstm_previous_kernel), geometry_, first_, values(pass.output), previous_);
      row_major_product(context_, true, false, 4 * hidden, hidden, rows, gates_, previous_, 0.0f,
                        pass.parameter_gradients[1]);
      for (int b = 0; b < biases; ++b) {
        channel_sums(context_, gates_, static_cast<std::size_t>(rows),
                     static_cast<std::size_t>(4 * hidden), 1,
                     pass.parameter_gradients[static_cast<std::size_t>(2 + b)]);
      }
    }
    if (pass.input_gradients[0] != nullptr) {
      row_major_product(context_, false, false, rows, inputs, 4 * hidden, gates_,
                        pass.parameters[0], 0.0f, values(*pass.input_gradients[0]));
    }
  }

 private:
  Context& context_;
  kernels::LstmShape shape_;
  LstmGeometry geometry_;
  DeviceMemory memory_;
  float *gates_ = nullptr, *cells_ = nullptr, *previous_ = nullptr;  ///< [batch, steps, ...]
  float *first_ = nullptr, *d_hidden_ = nullptr,
        *d_cell_ = nullptr;  ///< first: h then c before step 0
};

std::string described(const kernels::LayerShape& shape) {
  std::string text = kernels::layer_name(shape);
  for (const kernels::Dims& dims : kernels::input_dims(shape)) {
    text += " [";
    for (std::size_t i = 0; i < dims.size(); ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
    text += "]";
  }
  return text;
}

/// Adds the layer's name and shape to any error of it.
class Named final : public kernels::Layer {
 public:
  Named(Context& context, const kernels::LayerShape& shape, std::unique_ptr<kernels::Layer> layer)
      : context_(context), name_(described(shape)), layer_(std::move(layer)) {}
  void forward(const Forward& pass) override {
    run(" forward", [&] { layer_->forward(pass); });
  }
  void backward(const Backward& pass) override {
    run(" backward", [&] { layer_->backward(pass); });
  }

 private:
  template <class Work>
  void run(const char* pass, const Work& work) {
    try {
      work();
      context_.after_operation(pass);
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {
      throw std::runtime_error(name_ + pass + ": " + error.what());
    }
  }
  Context& context_;
  std::string name_;
  std::unique_ptr<kernels::Layer> layer_;
};

struct Maker {
  Context& context;
  using Made = std::unique_ptr<kernels::Layer>;
  Made operator()(const kernels::Conv2dShape& s) const {
    return std::make_unique<Conv2d>(context, s);
  }
  Made operator()(const kernels::DenseShape& s) const {
    return std::make_unique<Dense>(context, s);
  }
  Made operator()(const kernels::BatchNormShape& s) const {
    return std::make_unique<BatchNorm>(context, s);
  }
  Made operator()(const kernels::LayerNormShape& s) const {
    return std::make_unique<LayerNorm>(context, s);
  }
  Made operator()(const kernels::PointwiseShape& s) const {
    return std::make_unique<Pointwise>(context, s);
  }
  Made operator()(const kernels::PoolShape& s) const { return std::make_unique<Pool>(context, s); }
  Made operator()(const kernels::LrnShape& s) const { return std::make_unique<Lrn>(context, s); }
  Made operator()(const kernels::AddShape& s) const {
    return std::make_unique<AddLayer>(context, s);
  }
  Made operator()(const kernels::ConcatShape& s) const {
    return std::make_unique<Concat>(context, s);
  }
  Made operator()(const kernels::ReshapeShape& s) const {
    return std::make_unique<Reshape>(context, s);
  }
  Made operator()(const kernels::SubsamplePadShape& s) const {
    return std::make_unique<SubsamplePad>(context, s);
  }
  Made operator()(const kernels::DropoutShape& s) const {
    return std::make_unique<Dropout>(context, s);
  }
  Made operator()(const kernels::EmbeddingShape& s) const {
    return std::make_unique<Embedding>(context, s);
  }
  Made operator()(const kernels::LstmShape& s) const { return std::make_unique<Lstm>(context, s); }
  Made operator()(const kernels::SoftmaxLossShape& s) const {
    return std::make_unique<SoftmaxLoss>(context, s);
  }
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

std::unique_ptr<kernels::Layer> make_layer(Context& context, const kernels::LayerShape& shape) {
  return std::make_unique<Named>(context, shape, std::visit(Maker{context}, shape));
}

}  // namespace paceline::cuda
