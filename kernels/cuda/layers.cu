// What makes any layer, and what several of them need.

#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.cuh"
#include "kernels/cuda/layers.hpp"

namespace paceline::cuda {
namespace {

std::string described(const kernels::LayerShape& shape) {
  std::string text = kernels::layer_name(shape);
  for (const kernels::Dims& dims : kernels::input_dims(shape)) {
    text += " [";
    for (std::size_t i = 0; i < dims.size(); ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(dims[i]);
    text += "]";
  }
  return text;
}

/// Adds the layer's name and shape to any error of it.
class Named final : public kernels::Layer {
 public:
  Named(Context& context, const kernels::LayerShape& shape, std::unique_ptr<kernels::Layer> layer)
      : context_(context), name_(described(shape)), layer_(std::move(layer)) {}
  void forward(const Forward& pass) override {
    run(" forward", [&] { layer_->forward(pass); });
  }
  void backward(const Backward& pass) override {
    run(" backward", [&] { layer_->backward(pass); });
  }

 private:
  template <class Work>
  void run(const char* pass, const Work& work) {
    try {
      work();
      context_.after_operation(pass);
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& error) {
      throw std::runtime_error(name_ + pass + ": " + error.what());
    }
  }
  Context& context_;
  std::string name_;
  std::unique_ptr<kernels::Layer> layer_;
};

}  // namespace

void add_bias(Context& context, const float* bias, std::size_t channels, std::size_t inner,
              std::size_t n, float* y) {
  PACELINE_LAUNCH(context.stream(), context.blocks(n), layer_threads, (add_bias_kernel), bias,
                  channels, inner, n, y);
}

void channel_sums(Context& context, const float* x, std::size_t outer, std::size_t channels,
                  std::size_t inner, float* sums) {
  if (inner == 1) {
    PACELINE_LAUNCH(context.stream(), blocks_of(channels, 32), layer_threads, (column_sums_kernel),
                    x, outer, channels, sums);
  } else {
    PACELINE_LAUNCH(context.stream(), whole(channels), layer_threads, (channel_sums_kernel), x,
                    outer, channels, inner, sums);
  }
}

std::unique_ptr<kernels::Layer> make_layer(Context& context, const kernels::LayerShape& shape) {
  const auto make = [&](const auto& one) -> std::unique_ptr<kernels::Layer> {
    if constexpr (requires { one.make_cuda(context); })
      return one.make_cuda(context);
    else
      throw InputError(std::string("the CUDA backend has no layer ") + one.name());
  };
  return std::make_unique<Named>(context, shape, std::visit(make, shape));
}

}  // namespace paceline::cuda
