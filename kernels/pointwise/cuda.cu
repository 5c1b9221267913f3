#include "kernels/pointwise/pointwise.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/cuda/pointwise_launch.cuh"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> PointwiseShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Pointwise>(context, *this);
}

}  // namespace paceline::kernels
