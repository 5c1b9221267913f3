#include "kernels/lrn/lrn.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/lrn/cuda.cuh"

namespace paceline::cuda {
namespace {

class Lrn final : public kernels::Layer {
 public:
  Lrn(Context& context, const kernels::LrnShape& s)
      : context_(context),
        geometry_{static_cast<int>(s.input.channels),
                  static_cast<std::size_t>(s.input.pixels()),
                  static_cast<std::size_t>(s.input.elements()),
                  static_cast<int>(s.size),
                  static_cast<float>(s.alpha),
                  static_cast<float>(s.beta),
                  static_cast<float>(s.k)},
        base_(geometry_.total * sizeof(float)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(geometry_.total), layer_threads,
                    (lrn_kernel), values(*pass.inputs[0]), geometry_, base_.floats(),
                    values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(geometry_.total), layer_threads,
                    (lrn_gradient_kernel), values(*pass.inputs[0]), base_.floats(),
                    values(pass.output), values(pass.output_gradient), geometry_,
                    values(*pass.input_gradients[0]));
  }

 private:
  Context& context_;
  LrnGeometry geometry_;
  DeviceMemory base_;
};

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> LrnShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Lrn>(context, *this);
}

}  // namespace paceline::kernels
