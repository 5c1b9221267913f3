#include "kernels/arrange/arrange.hpp"

#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/arrange/cuda.cuh"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/cuda/pointwise_launch.cuh"

namespace paceline::cuda {
namespace {

class AddLayer final : public kernels::Layer {
 public:
  AddLayer(Context& context, const kernels::AddShape& s)
      : context_(context), relu_(s.relu), n_(static_cast<std::size_t>(kernels::elements(s.dims))) {
    if (s.inputs > add_inputs) {
      throw InputError("add: the CUDA backend sums at most " + std::to_string(add_inputs) +
                       " inputs, found " + std::to_string(s.inputs));
    }
  }
  void forward(const Forward& pass) override {
    AddInputs inputs{};
    for (const kernels::Activation* input : pass.inputs) inputs.in[inputs.count++] = values(*input);
    PACELINE_LAUNCH(context_.stream(), context_.blocks(n_), layer_threads, (add_kernel), inputs, n_,
                    relu_, values(pass.output));
  }
  void backward(const Backward& pass) override {
    const float* dy = values(pass.output_gradient);
    for (kernels::Activation* gradient : pass.input_gradients) {
      if (gradient == nullptr) continue;
      if (relu_) {
        pointwise<ReluGradient, 2, 1>(context_, {},
                                      {{values(pass.output), dy}, {values(*gradient)}}, n_);
      } else {
        PACELINE_CHECK(cudaMemcpyAsync(values(*gradient), dy, n_ * sizeof(float),
                                       cudaMemcpyDeviceToDevice, context_.stream()));
      }
    }
  }

 private:
  Context& context_;
  bool relu_;
  std::size_t n_;
};

class Concat final : public kernels::Layer {
 public:
  Concat(Context& context, const kernels::ConcatShape& s)
      : context_(context), batch_(static_cast<std::size_t>(s.batch)) {
    for (const std::int64_t channels : s.channels) {
      rows_.push_back(static_cast<std::size_t>(channels * s.height * s.width) * sizeof(float));
      total_ += rows_.back();
    }
  }
  void forward(const Forward& pass) override {
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows_.size(); at += rows_[i++]) {
      copy(reinterpret_cast<char*>(values(pass.output)) + at, total_, values(*pass.inputs[i]),
           rows_[i], rows_[i]);
    }
  }
  void backward(const Backward& pass) override {
    std::size_t at = 0;
    for (std::size_t i = 0; i < rows_.size(); at += rows_[i++]) {
      if (pass.input_gradients[i] == nullptr) continue;
      copy(values(*pass.input_gradients[i]), rows_[i],
           reinterpret_cast<const char*>(values(pass.output_gradient)) + at, total_, rows_[i]);
    }
  }

 private:
  void copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
            std::size_t width) {
    PACELINE_CHECK(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, width, batch_,
                                     cudaMemcpyDeviceToDevice, context_.stream()));
  }
  Context& context_;
  std::size_t batch_, total_ = 0;
  std::vector<std::size_t> rows_;  ///< bytes per image of each input
};

class Reshape final : public kernels::Layer {
 public:
  Reshape(Context& context, const kernels::ReshapeShape& s)
      : context_(context),
        bytes_(static_cast<std::size_t>(kernels::elements(s.input)) * sizeof(float)) {}
  void forward(const Forward& pass) override { copy(values(pass.output), values(*pass.inputs[0])); }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] != nullptr)
      copy(values(*pass.input_gradients[0]), values(pass.output_gradient));
  }

 private:
  void copy(float* to, const float* from) {
    PACELINE_CHECK(cudaMemcpyAsync(to, from, bytes_, cudaMemcpyDeviceToDevice, context_.stream()));
  }
  Context& context_;
  std::size_t bytes_;
};

class SubsamplePad final : public kernels::Layer {
 public:
  SubsamplePad(Context& context, const kernels::SubsamplePadShape& s) : context_(context) {
    const auto out = s.output();
    const auto narrow = [](std::int64_t x) { return static_cast<int>(x); };
    geometry_ = {narrow(s.input.channels), narrow(s.input.height),
                 narrow(s.input.width),    narrow(out.channels),
                 narrow(out.height),       narrow(out.width),
                 narrow(s.stride),         narrow((s.channels - s.input.channels) / 2)};
    inputs_ = static_cast<std::size_t>(s.input.elements());
    outputs_ = static_cast<std::size_t>(out.elements());
  }
  void forward(const Forward& pass) override {
    PACELINE_LAUNCH(context_.stream(), context_.blocks(outputs_), layer_threads,
                    (subsample_pad_kernel), values(*pass.inputs[0]), geometry_, outputs_,
                    values(pass.output));
  }
  void backward(const Backward& pass) override {
    if (pass.input_gradients[0] == nullptr) return;
    PACELINE_LAUNCH(context_.stream(), context_.blocks(inputs_), layer_threads,
                    (subsample_pad_gradient_kernel), values(pass.output_gradient), geometry_,
                    inputs_, values(*pass.input_gradients[0]));
  }

 private:
  Context& context_;
  ShortcutGeometry geometry_{};
  std::size_t inputs_ = 0, outputs_ = 0;
};

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> AddShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::AddLayer>(context, *this);
}

std::unique_ptr<Layer> ConcatShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Concat>(context, *this);
}

std::unique_ptr<Layer> ReshapeShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Reshape>(context, *this);
}

std::unique_ptr<Layer> SubsamplePadShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::SubsamplePad>(context, *this);
}

}  // namespace paceline::kernels
