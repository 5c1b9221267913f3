#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/layer_norm/cuda.cuh"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> LayerNormShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::LayerNorm>(context, *this);
}

}  // namespace paceline::kernels
