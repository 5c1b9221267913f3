#include "kernels/dropout/dropout.hpp"

#include <cmath>

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/dropout/cuda.cuh"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> DropoutShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Dropout>(context, *this);
}

}  // namespace paceline::kernels
