#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::algorithm;
using dnnl::eltwise_backward;
using dnnl::eltwise_forward;

algorithm algorithm_of(PointwiseFunction function) {
  switch (function) {
    case PointwiseFunction::relu:
      return algorithm::eltwise_relu;
    case PointwiseFunction::tanh:
      return algorithm::eltwise_tanh;
    case PointwiseFunction::sigmoid:
      return algorithm::eltwise_logistic;
    case PointwiseFunction::gelu:
      return algorithm::eltwise_gelu_erf;
  }
  return algorithm::eltwise_linear;
}

// oneDNN's own turns NaN into 0, and a diverged network must not look healthy.
void relu(const dnnl::memory& from, const dnnl::memory& to) {
  const auto* x = static_cast<const float*>(from.get_data_handle());
  auto* y = static_cast<float*>(to.get_data_handle());
  const std::size_t count = from.get_desc().get_size() / sizeof(float);
  for (std::size_t i = 0; i < count; ++i) y[i] = x[i] <= 0 ? 0.0f : x[i];
}

class Pointwise final : public Layer {
 public:
  explicit Pointwise(const PointwiseShape& shape) : algorithm_(algorithm_of(shape.function)) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory& x = array(*pass.inputs[0]);
    if (!forward_ || layout_ != x.get_desc()) create(x.get_desc());
    const dnnl::memory& y = target(pass.output).write(layout_);
    if (algorithm_ == algorithm::eltwise_relu)
      relu(x, y);
    else
      forward_.run({{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}});
  }

  void backward(const BackwardPass<float>& pass) override {
    if (!pass.input_gradients[0]) return;
    prepare_thread();
    backward_.run({{DNNL_ARG_SRC, array(*pass.inputs[0])},
                   {DNNL_ARG_DIFF_DST, gradient_(array(pass.output_gradient), layout_)},
                   {DNNL_ARG_DIFF_SRC, target(*pass.input_gradients[0]).write(layout_)}});
  }

 private:
  void create(const Desc& layout) {
    layout_ = layout;
    const eltwise_forward::primitive_desc forward(
        {dnnl::prop_kind::forward_training, algorithm_, layout, 0.0f, 0.0f}, attributes(),
        engine());
    const eltwise_backward::primitive_desc backward({algorithm_, layout, layout, 0.0f, 0.0f},
                                                    attributes(), engine(), forward);
    forward_ = Operation(forward, eltwise_forward(forward));
    backward_ = Operation(backward, eltwise_backward(backward));
  }

  algorithm algorithm_;
  Desc layout_;
  Operation forward_, backward_;
  Reorder gradient_;
};

}  // namespace

}  // namespace paceline::kernels::onednn

namespace paceline::kernels {

std::unique_ptr<Layer> PointwiseShape::make_onednn() const {
  return std::make_unique<onednn::Pointwise>(*this);
}

}  // namespace paceline::kernels
