#include "kernels/dense/dense.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> DenseShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Dense>(context, *this);
}

}  // namespace paceline::kernels
