#include <algorithm>

#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::algorithm;
using dnnl::convolution_backward_data;
using dnnl::convolution_backward_weights;
using dnnl::convolution_forward;

// F(4x4, 3x3) pays for tiles of 4x4 results and blocks of 16 channels: measured, up to 2.2 times
// faster than direct there, and up to 5 times slower elsewhere, where oneDNN's own choice (auto)
// takes it nevertheless.
bool winograd_pays(const Conv2dShape& s) {
  const ImageShape out = s.output();
  const Window& w = s.window;
  return s.groups == 1 && w.kernel_height == 3 && w.kernel_width == 3 && w.stride_height == 1 &&
         w.stride_width == 1 && std::min(s.input.channels, s.channels) >= 16 &&
         std::min(out.height, out.width) >= 4;
}

// All three passes leave the layouts to oneDNN; activations normally agree between them.
class Conv2d final : public Layer {
 public:
  explicit Conv2d(const Conv2dShape& shape) : shape_(shape) {
    const auto parameters = parameter_dims(shape);
    weight_dims_ = parameters[0];
    if (shape.groups > 1)
      weight_dims_ = {shape.groups, shape.channels / shape.groups, weight_dims_[1], weight_dims_[2],
                      weight_dims_[3]};
    const Window& w = shape.window;
    strides_ = {w.stride_height, w.stride_width};
    padding_ = {w.pad_height, w.pad_width};
    forward_ = convolution_forward::primitive_desc(
        {dnnl::prop_kind::forward_training, algorithm::convolution_auto, input(), weight(), bias(),
         output(), strides_, padding_, padding_},
        attributes(), engine());
    forward_operation_ = Operation(forward_, convolution_forward(forward_));
  }

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, source_(array(*pass.inputs[0]), forward_.src_desc())},
        {DNNL_ARG_WEIGHTS,
         weight_(view(weight_dims_, pass.parameters[0]), forward_.weights_desc())},
        {DNNL_ARG_DST, target(pass.output).write(forward_.dst_desc())}};
    if (shape_.bias) arguments.insert({DNNL_ARG_BIAS, view({shape_.channels}, pass.parameters[1])});
    forward_operation_.run(std::move(arguments));
  }

  void backward(const BackwardPass<float>& pass) override {
    prepare_thread();
    if (pass.parameter_gradients[0]) parameter_gradient(pass);
    if (pass.input_gradients[0]) input_gradient(pass);
  }

 private:
  [[nodiscard]] Desc input() const { return any_layout(shape_.input.dims()); }
  [[nodiscard]] Desc weight() const { return any_layout(weight_dims_); }
  [[nodiscard]] Desc bias() const { return shape_.bias ? plain({shape_.channels}) : Desc(); }
  [[nodiscard]] Desc output() const { return any_layout(shape_.output().dims()); }

  // Not every instruction set has Winograd kernels.
  template <class Describe>
  auto describe(Describe with) const {
    if (winograd_pays(shape_)) {
      try {
        return with(algorithm::convolution_winograd);
      } catch (const dnnl::error&) {
      }
    }
    return with(algorithm::convolution_direct);
  }

  void input_gradient(const BackwardPass<float>& pass) {
    if (!data_operation_) {
      data_ = convolution_backward_data::primitive_desc(
          {algorithm::convolution_auto, input(), weight(), output(), strides_, padding_, padding_},
          attributes(), engine(), forward_);
      data_operation_ = Operation(data_, convolution_backward_data(data_));
    }
    data_operation_.run(
        {{DNNL_ARG_DIFF_DST, data_gradient_(array(pass.output_gradient), data_.diff_dst_desc())},
         {DNNL_ARG_WEIGHTS,
          data_weight_(view(weight_dims_, pass.parameters[0]), data_.weights_desc())},
         {DNNL_ARG_DIFF_SRC, target(*pass.input_gradients[0]).write(data_.diff_src_desc())}});
  }

  void parameter_gradient(const BackwardPass<float>& pass) {
    if (!weights_operation_) {
      weights_ = describe([&](algorithm kind) {
        return convolution_backward_weights::primitive_desc(
            {kind, input(), weight(), bias(), output(), strides_, padding_, padding_}, attributes(),
            engine(), forward_);
      });
      weights_operation_ = Operation(weights_, convolution_backward_weights(weights_));
      weights_memory_ = dnnl::memory(weights_.diff_weights_desc(), engine());
    }
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, weights_source_(array(*pass.inputs[0]), weights_.src_desc())},
        {DNNL_ARG_DIFF_DST,
         weights_gradient_(array(pass.output_gradient), weights_.diff_dst_desc())},
        {DNNL_ARG_DIFF_WEIGHTS, weights_memory_}};
    if (shape_.bias)
      arguments.insert({DNNL_ARG_DIFF_BIAS, view({shape_.channels}, pass.parameter_gradients[1])});
    weights_operation_.run(std::move(arguments));
    weights_result_.copy(weights_memory_, view(weight_dims_, pass.parameter_gradients[0]));
  }

  Conv2dShape shape_;
  Dims weight_dims_, strides_, padding_;

  convolution_forward::primitive_desc forward_;
  convolution_backward_data::primitive_desc data_;
  convolution_backward_weights::primitive_desc weights_;
  Operation forward_operation_, data_operation_, weights_operation_;
  Reorder source_, weight_;
  Reorder data_gradient_, data_weight_;
  Reorder weights_source_, weights_gradient_, weights_result_;
  dnnl::memory weights_memory_;
};

}  // namespace

}  // namespace paceline::kernels::onednn

namespace paceline::kernels {

std::unique_ptr<Layer> Conv2dShape::make_onednn() const {
  return std::make_unique<onednn::Conv2d>(*this);
}

}  // namespace paceline::kernels
