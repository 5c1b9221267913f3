#include "kernels/lstm/lstm.hpp"

#include "kernels/cuda/activation.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/layers.hpp"
#include "kernels/lstm/cuda.cuh"

namespace paceline::cuda {
namespace {

class Lstm final : public kernels::Layer {
 public:
  Lstm(Context& context, const kernels::LstmShape& s)
      : context_(context),
        shape_(s),
        geometry_{static_cast<std::size_t>(s.batch), static_cast<std::size_t>(s.steps),
                  static_cast<std::size_t>(s.hidden)} {
    const std::size_t step = geometry_.batch * geometry_.hidden;
    const std::size_t all = step * geometry_.steps;
    memory_ = DeviceMemory((6 * all + 4 * step) * sizeof(float));
    gates_ = memory_.floats();
    cells_ = gates_ + 4 * all;
    previous_ = cells_ + all;
    first_ = previous_ + all;
    d_hidden_ = first_ + 2 * step;
    d_cell_ = d_hidden_ + step;
  }
  void forward(const Forward& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::size_t step = geometry_.batch * geometry_.hidden;
    float* output = values(pass.output);
    PACELINE_CHECK(cudaMemcpyAsync(first_, pass.state, 2 * step * sizeof(float),
                                   cudaMemcpyDeviceToDevice, context_.stream()));
    row_major_product(context_, false, true, batch * steps, 4 * hidden, inputs,
                      values(*pass.inputs[0]), pass.parameters[0], 0.0f, gates_);
    for (std::int64_t t = 0; t < steps; ++t) {
      const float* before = t == 0 ? first_ : output + (t - 1) * hidden;
      row_major_product(context_, false, true, batch, 4 * hidden, hidden, before,
                        pass.parameters[1], 1.0f, gates_ + t * 4 * hidden,
                        t == 0 ? hidden : steps * hidden, 0, steps * 4 * hidden);
      PACELINE_LAUNCH(
          context_.stream(), context_.blocks(step), layer_threads, (lstm_step_kernel), geometry_,
          static_cast<std::size_t>(t), biases > 0 ? pass.parameters[2] : nullptr,
          biases > 1 ? pass.parameters[3] : nullptr, first_ + step, gates_, cells_, output);
    }
    PACELINE_LAUNCH(context_.stream(), context_.blocks(step), layer_threads, (lstm_state_kernel),
                    geometry_, output, cells_, pass.state);
  }
  void backward(const Backward& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::size_t step = geometry_.batch * geometry_.hidden;
    const std::int64_t rows = batch * steps;
    for (std::int64_t t = steps - 1; t >= 0; --t) {
      PACELINE_LAUNCH(context_.stream(), context_.blocks(step), layer_threads,
                      (lstm_step_gradient_kernel), geometry_, static_cast<std::size_t>(t),
                      values(pass.output_gradient), first_ + step, cells_, d_hidden_, d_cell_,
                      gates_);
      if (t > 0) {
        row_major_product(context_, false, false, batch, hidden, 4 * hidden,
                          gates_ + t * 4 * hidden, pass.parameters[1], 0.0f, d_hidden_,
                          steps * 4 * hidden);
      }
    }
    if (pass.parameter_gradients[0] != nullptr) {
      row_major_product(context_, true, false, 4 * hidden, inputs, rows, gates_,
                        values(*pass.inputs[0]), 0.0f, pass.parameter_gradients[0]);
      const std::size_t all = step * geometry_.steps;
      PACELINE_LAUNCH(context_.stream(), context_.blocks(all), layer_threads,
                      (lstm_previous_kernel), geometry_, first_, values(pass.output), previous_);
      row_major_product(context_, true, false, 4 * hidden, hidden, rows, gates_, previous_, 0.0f,
                        pass.parameter_gradients[1]);
      for (int b = 0; b < biases; ++b) {
        channel_sums(context_, gates_, static_cast<std::size_t>(rows),
                     static_cast<std::size_t>(4 * hidden), 1,
                     pass.parameter_gradients[static_cast<std::size_t>(2 + b)]);
      }
    }
    if (pass.input_gradients[0] != nullptr) {
      row_major_product(context_, false, false, rows, inputs, 4 * hidden, gates_,
                        pass.parameters[0], 0.0f, values(*pass.input_gradients[0]));
    }
  }

 private:
  Context& context_;
  kernels::LstmShape shape_;
  LstmGeometry geometry_;
  DeviceMemory memory_;
  float *gates_ = nullptr, *cells_ = nullptr, *previous_ = nullptr;  ///< [batch, steps, ...]
  float *first_ = nullptr, *d_hidden_ = nullptr,
        *d_cell_ = nullptr;  ///< first: h then c before step 0
};

}  // namespace
}  // namespace paceline::cuda

namespace paceline::kernels {

std::unique_ptr<Layer> LstmShape::make_cuda(cuda::Context& context) const {
  return std::make_unique<cuda::Lstm>(context, *this);
}

}  // namespace paceline::kernels
