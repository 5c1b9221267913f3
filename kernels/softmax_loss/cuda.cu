#include "kernels/softmax_loss/softmax_loss.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/softmax_loss/cuda.cuh"

namespace paceline::cuda {
namespace {

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

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> SoftmaxLossShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::SoftmaxLoss>(context, *this);
}

}  // namespace paceline::kernels
