#include "kernels/batch_norm/batch_norm.hpp"

#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels::onednn {
namespace {

using dnnl::batch_normalization_backward;
using dnnl::batch_normalization_forward;
using dnnl::normalization_flags;
using dnnl::prop_kind;

// Works in the layout of its input, which is known at the first call.
class BatchNorm final : public Layer {
 public:
  explicit BatchNorm(const BatchNormShape& shape)
      : shape_(shape),
        channels_{shape.input.channels},
        mean_(plain(channels_), engine()),
        variance_(plain(channels_), engine()),
        unused_(2 * static_cast<std::size_t>(shape.input.channels)) {}

  void forward(const ForwardPass<float>& pass) override {
    prepare_thread();
    const dnnl::memory& x = array(*pass.inputs[0]);
    if (!training_operation_ || layout_ != x.get_desc()) create(x.get_desc());
    const dnnl::memory& y = target(pass.output).write(layout_);
    if (!pass.training) {
      const float* running = pass.state;
      inference_operation_.run({{DNNL_ARG_SRC, x},
                                {DNNL_ARG_DST, y},
                                {DNNL_ARG_MEAN, view(channels_, running)},
                                {DNNL_ARG_VARIANCE, view(channels_, running + channels_[0])},
                                {DNNL_ARG_SCALE, view(channels_, pass.parameters[0])},
                                {DNNL_ARG_SHIFT, view(channels_, pass.parameters[1])}});
      return;
    }
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, x},
        {DNNL_ARG_DST, y},
        {DNNL_ARG_MEAN, mean_},
        {DNNL_ARG_VARIANCE, variance_},
        {DNNL_ARG_SCALE, view(channels_, pass.parameters[0])},
        {DNNL_ARG_SHIFT, view(channels_, pass.parameters[1])}};
    if (shape_.relu) arguments.insert({DNNL_ARG_WORKSPACE, workspace_});
    training_operation_.run(std::move(arguments));
    reference::update_running_statistics(shape_, static_cast<const float*>(mean_.get_data_handle()),
                                         static_cast<const float*>(variance_.get_data_handle()),
                                         pass.state);
  }

  void backward(const BackwardPass<float>& pass) override {
    prepare_thread();
    float* dscale = pass.parameter_gradients[0];
    float* dshift = pass.parameter_gradients[1];
    OneDnnActivation dropped(shape_.input.dims());
    Activation* dx = pass.input_gradients[0] ? pass.input_gradients[0] : &dropped;
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, array(*pass.inputs[0])},
        {DNNL_ARG_DIFF_DST, gradient_(array(pass.output_gradient), layout_)},
        {DNNL_ARG_MEAN, mean_},
        {DNNL_ARG_VARIANCE, variance_},
        {DNNL_ARG_SCALE, view(channels_, pass.parameters[0])},
        {DNNL_ARG_SHIFT, view(channels_, pass.parameters[1])},  // wanted, if not used
        {DNNL_ARG_DIFF_SRC, target(*dx).write(layout_)},
        {DNNL_ARG_DIFF_SCALE, view(channels_, dscale ? dscale : unused_.data())},
        {DNNL_ARG_DIFF_SHIFT, view(channels_, dshift ? dshift : unused_.data() + channels_[0])}};
    if (shape_.relu) arguments.insert({DNNL_ARG_WORKSPACE, workspace_});
    backward_operation_.run(std::move(arguments));
  }

 private:
  void create(const Desc& layout) {
    layout_ = layout;
    const auto epsilon = static_cast<float>(shape_.epsilon);
    auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
    if (shape_.relu) flags = flags | normalization_flags::fuse_norm_relu;
    const batch_normalization_forward::primitive_desc training(
        {prop_kind::forward_training, layout, epsilon, flags}, attributes(), engine());
    const batch_normalization_forward::primitive_desc inference(
        {prop_kind::forward_inference, layout, epsilon,
         flags | normalization_flags::use_global_stats},
        attributes(), engine());
    const batch_normalization_backward::primitive_desc backward(
        {prop_kind::backward, layout, layout, epsilon, flags}, attributes(), engine(), training);
    training_operation_ = Operation(training, batch_normalization_forward(training));
    inference_operation_ = Operation(inference, batch_normalization_forward(inference));
    backward_operation_ = Operation(backward, batch_normalization_backward(backward));
    if (shape_.relu) workspace_ = dnnl::memory(training.workspace_desc(), engine());
  }

  BatchNormShape shape_;
  Dims channels_;
  dnnl::memory mean_, variance_, workspace_;
  std::vector<float> unused_;
  Desc layout_;
  Operation training_operation_, inference_operation_, backward_operation_;
  Reorder gradient_;
};

}  // namespace

}  // namespace paceline::kernels::onednn

namespace paceline::kernels {

std::unique_ptr<Layer> BatchNormShape::make_onednn() const {
  return std::make_unique<onednn::BatchNorm>(*this);
}

}  // namespace paceline::kernels
