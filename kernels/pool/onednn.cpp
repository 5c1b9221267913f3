#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::algorithm;
using dnnl::pooling_backward;
using dnnl::pooling_forward;

// How far the last window reaches beyond the image; never less than the padding asked for.
std::int64_t trailing_pad(std::int64_t outputs, std::int64_t inputs, std::int64_t kernel,
                          std::int64_t stride, std::int64_t pad) {
  return std::max(pad, (outputs - 1) * stride + kernel - inputs - pad);
}

class Pool final : public Layer {
 public:
  explicit Pool(const PoolShape& shape) : shape_(shape) {
    const ImageShape out = shape.output();
    const Window& w = shape.window;
    after_ = {
        trailing_pad(out.height, shape.input.height, w.kernel_height, w.stride_height,
                     w.pad_height),
        trailing_pad(out.width, shape.input.width, w.kernel_width, w.stride_width, w.pad_width)};
  }
  /// oneDNN divides by the whole window even where it hangs over the padding.
  [[nodiscard]] bool divides_rightly() const {
    return shape_.kind == PoolKind::max || !shape_.count_padding ||
           after_ == Dims{shape_.window.pad_height, shape_.window.pad_width};
  }

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory& x = array(*pass.inputs[0]);
    if (!forward_ || layout_ != x.get_desc()) create(x.get_desc());
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, x}, {DNNL_ARG_DST, target(pass.output).write(output_layout_)}};
    if (workspace_) arguments.insert({DNNL_ARG_WORKSPACE, workspace_});
    forward_.run(std::move(arguments));
  }

  void backward(const BackwardPass<float>& pass) override {
    if (!pass.input_gradients[0]) return;
    prepare_thread();
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_DIFF_DST, gradient_(array(pass.output_gradient), output_layout_)},
        {DNNL_ARG_DIFF_SRC, target(*pass.input_gradients[0]).write(layout_)}};
    if (workspace_) arguments.insert({DNNL_ARG_WORKSPACE, workspace_});
    backward_.run(std::move(arguments));
  }

 private:
  void create(const Desc& layout) {
    layout_ = layout;
    const Window& w = shape_.window;
    const Dims kernel{w.kernel_height, w.kernel_width}, strides{w.stride_height, w.stride_width};
    const Dims before{w.pad_height, w.pad_width};
    const auto kind = shape_.kind == PoolKind::max ? algorithm::pooling_max
                      : shape_.count_padding       ? algorithm::pooling_avg_include_padding
                                                   : algorithm::pooling_avg_exclude_padding;
    const pooling_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, kind, layout, any_layout(shape_.output().dims()),
         strides, kernel, before, after_},
        attributes(), engine());
    output_layout_ = forward.dst_desc();
    const pooling_backward::primitive_desc backward(
        {kind, layout, output_layout_, strides, kernel, before, after_}, attributes(), engine(),
        forward);
    forward_ = Operation(forward, pooling_forward(forward));
    backward_ = Operation(backward, pooling_backward(backward));
    if (shape_.kind == PoolKind::max) workspace_ = dnnl::memory(forward.workspace_desc(), engine());
  }

  PoolShape shape_;
  Dims after_;
  Desc layout_, output_layout_;
  Operation forward_, backward_;
  dnnl::memory workspace_;
  Reorder gradient_;
};

}  // namespace

}  // namespace paceline::kernels::onednn

namespace paceline::kernels {

std::unique_ptr<Layer> PoolShape::make_onednn() const {
  auto pool = std::make_unique<onednn::Pool>(*this);
  if (pool->divides_rightly()) return pool;
  return onednn::make_plain_layer(*this, make_reference<float>());
}

}  // namespace paceline::kernels
