// The other layers, and what makes any of them.

#include <cmath>
#include <stdexcept>

#include "base/error.hpp"
#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/backend.hpp"
#include "kernels/cuda/elementwise.cuh"
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

std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::PointwiseShape& shape) {
  return std::make_unique<Pointwise>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::PoolShape& shape) {
  return std::make_unique<Pool>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::AddShape& shape) {
  return std::make_unique<AddLayer>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context, const kernels::ConcatShape& shape) {
  return std::make_unique<Concat>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::ReshapeShape& shape) {
  return std::make_unique<Reshape>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::SubsamplePadShape& shape) {
  return std::make_unique<SubsamplePad>(context, shape);
}

std::unique_ptr<kernels::Layer> make_layer_of(Context& context,
                                              const kernels::DropoutShape& shape) {
  return std::make_unique<Dropout>(context, shape);
}

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

std::unique_ptr<kernels::Layer> make_layer(Context& context, const kernels::LayerShape& shape) {
  const auto make = [&](const auto& one) { return make_layer_of(context, one); };
  return std::make_unique<Named>(context, shape, std::visit(make, shape));
}

}  // namespace paceline::cuda
