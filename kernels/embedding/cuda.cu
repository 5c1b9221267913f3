#include "kernels/embedding/embedding.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/embedding/cuda.cuh"

namespace paceline::cuda {
namespace {

class Embedding final : public kernels::Layer {
 public:
  Embedding(Context& context, const kernels::EmbeddingShape& s)
      : context_(context),
        rows_(static_cast<std::size_t>(s.rows)),
        entries_(static_cast<std::size_t>(s.entries)),
        features_(static_cast<std::size_t>(s.features)) {}
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (embedding_kernel),
                    values(*pass.inputs[0]), pass.parameters[0], entries_, features_,
                    values(pass.output), context_.fault());
  }
  void backward(const Backward& pass) override {
    float* gradient = pass.parameter_gradients[0];
    if (gradient == nullptr) return;
    PACELINE_CHECK(
        cudaMemsetAsync(gradient, 0, entries_ * features_ * sizeof(float), context_.stream()));
    PACELINE_LAUNCH(context_.stream(), whole(rows_), layer_threads, (embedding_gradient_kernel),
                    values(*pass.inputs[0]), values(pass.output_gradient), rows_, entries_,
                    features_, gradient, context_.fault());
  }

 private:
  Context& context_;
  std::size_t rows_, entries_, features_;
};

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> EmbeddingShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Embedding>(context, *this);
}

}  // namespace paceline::kernels
