#include "kernels/batch_norm/batch_norm.hpp"

#include <algorithm>

#include "kernels/batch_norm/cuda.cuh"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> BatchNormShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::BatchNorm>(context, *this);
}

}  // namespace paceline::kernels
