#include "kernels/pool/pool.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/pool/cuda.cuh"

namespace paceline::cuda {
namespace {

class Pool final : public kernels::Layer {
 public:
  Pool(Context& context, const kernels::PoolShape& s)
      : context_(context), maximum_(s.kind == kernels::PoolKind::max) {
    const auto out = s.output();
    const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
    geometry_ = {narrow(s.input.batch * s.input.channels),
                 narrow(s.input.height),
                 narrow(s.input.width),
                 narrow(out.height),
                 narrow(out.width),
                 narrow(s.window.kernel_height),
                 narrow(s.window.kernel_width),
                 narrow(s.window.stride_height),
                 narrow(s.window.stride_width),
                 narrow(s.window.pad_height),
                 narrow(s.window.pad_width),
                 s.count_padding};
    inputs_ = static_cast<std::size_t>(s.input.elements());
    outputs_ = static_cast<std::size_t>(out.elements());
    if (maximum_) where_ = DeviceMemory(outputs_ * sizeof(std::int32_t));
  }
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(outputs_), layer_threads, (pool_kernel),
                    values(*pass.inputs[0]), geometry_, maximum_, values(pass.output), where());
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(inputs_), layer_threads,
                    (pool_gradient_kernel), values(pass.output_gradient), where(), geometry_,
                    maximum_, values(*pass.input_gradients[0]));
  }

 private:
  std::int32_t* where() { return static_cast<std::int32_t*>(where_.get()); }
  Context& context_;
  bool maximum_;
  PoolGeometry geometry_{};
  std::size_t inputs_ = 0, outputs_ = 0;
  DeviceMemory where_;
};

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> PoolShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Pool>(context, *this);
}

}  // namespace paceline::kernels
