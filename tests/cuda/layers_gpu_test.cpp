#include "tests/cuda/gpu_backend.hpp"

// Every layer, forward and backward, against the reference in double on the same inputs.
namespace paceline::kernels {
namespace {

/// What a layer is run on, and what comes out; the reference's in double.
struct Given {
  std::vector<std::vector<float>> inputs, parameters;
  std::vector<float> state, dy;
};
template <class T>
struct Outcome {
  std::vector<T> y, state;
  std::vector<std::vector<T>> input_gradients, parameter_gradients;
};

/// Fresh random inputs, parameters and output gradients; the input `integer_input` holds whole
/// numbers below `integers`.
Given random_given(const LayerShape& shape, unsigned seed, std::size_t integer_input,
                   std::int64_t integers) {
  Given given;
  for (const Dims& dims : input_dims(shape)) {
    const std::size_t i = given.inputs.size();
    given.inputs.push_back(normal_values(static_cast<std::size_t>(elements(dims)),
                                         seed + 10 * static_cast<unsigned>(i)));
    if (i != integer_input) continue;
    std::mt19937 engine(seed);
    for (float& x : given.inputs.back())
      x = static_cast<float>(engine() % static_cast<unsigned>(integers));
  }
  for (const Dims& dims : parameter_dims(shape)) {
    given.parameters.push_back(
        normal_values(static_cast<std::size_t>(elements(dims)),
                      seed + 100 + static_cast<unsigned>(given.parameters.size()), 0.3f));
  }
  given.dy = normal_values(static_cast<std::size_t>(elements(output_dims(shape))), seed + 1000);
  given.state = initial_state(shape);
  return given;
}

/// The reference in double: the constructor goes forward, `backward` back.
class ReferenceRun {
 public:
  ReferenceRun(const LayerShape& shape, const Given& given, std::size_t integer_input)
      : layer_(make_reference_layer<double>(shape)),
        y_(output_dims(shape)),
        dy_(output_dims(shape)),
        state_(given.state.begin(), given.state.end()) {
    const auto dims = input_dims(shape);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      inputs_.push_back(std::make_unique<PlainActivation<double>>(dims[i]));
      std::copy(given.inputs[i].begin(), given.inputs[i].end(), inputs_[i]->data());
      in_.push_back(inputs_[i].get());
      gradients_.push_back(std::make_unique<PlainActivation<double>>(dims[i]));
      dx_.push_back(i == integer_input ? nullptr : gradients_[i].get());
    }
    for (const auto& p : given.parameters) parameters_.emplace_back(p.begin(), p.end());
    d_parameters_ = parameters_;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      p_.push_back(parameters_[i].data());
      dp_.push_back(d_parameters_[i].data());
    }
    layer_->forward({in_, y_, p_, state_.data(), true, 99});
  }
  [[nodiscard]] std::vector<double> y() const { return values(y_); }
  Outcome<double> backward(const std::vector<float>& dy) {
    std::copy(dy.begin(), dy.end(), dy_.data());
    layer_->backward({in_, y_, dy_, p_, dx_, dp_});
    Outcome<double> out{y(), state_, {}, d_parameters_};
    for (const auto& gradient : gradients_) out.input_gradients.push_back(values(*gradient));
    return out;
  }

 private:
  static std::vector<double> values(const PlainActivation<double>& a) {
    return {a.data(), a.data() + a.size()};
  }
  std::unique_ptr<BasicLayer<double>> layer_;
  PlainActivation<double> y_, dy_;
  std::vector<double> state_;
  std::vector<std::unique_ptr<PlainActivation<double>>> inputs_, gradients_;
  std::vector<const Activation*> in_;
  std::vector<Activation*> dx_;
  std::vector<std::vector<double>> parameters_, d_parameters_;
  std::vector<const double*> p_;
  std::vector<double*> dp_;
};

/// The same on the GPU. What a pass must write starts as NaN.
class GpuRun {
 public:
  GpuRun(CudaBackend& gpu, const LayerShape& shape, const Given& given, std::size_t integer_input)
      : gpu_(gpu),
        layer_(gpu.make_layer(shape)),
        y_(gpu.make_activation(output_dims(shape))),
        dy_(gpu.make_activation(output_dims(shape))),
        state_(upload(given.state.empty() ? std::vector<float>(1) : given.state)) {
    const auto dims = input_dims(shape);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      inputs_.push_back(gpu.make_activation(dims[i]));
      gpu.write(given.inputs[i], *inputs_[i]);
      in_.push_back(inputs_[i].get());
      gradients_.push_back(gpu.make_activation(dims[i]));
      gpu.write(std::vector<float>(given.inputs[i].size(), NAN), *gradients_[i]);
      dx_.push_back(i == integer_input ? nullptr : gradients_[i].get());
    }
    for (const auto& parameter : given.parameters) {
      parameters_.push_back(upload(parameter));
      d_parameters_.push_back(upload(std::vector<float>(parameter.size(), NAN)));
      p_.push_back(parameters_.back().data());
      dp_.push_back(d_parameters_.back().data());
    }
    gpu.write(std::vector<float>(given.dy.size(), NAN), *y_);
    layer_->forward({in_, *y_, p_, state_.data(), true, 99});
  }
  [[nodiscard]] std::vector<float> y() const { return values(*y_); }
  Outcome<float> backward(const std::vector<float>& dy) {
    gpu_.write(dy, *dy_);
    layer_->backward({in_, *y_, *dy_, p_, dx_, dp_});
    Outcome<float> out{y(), download(state_), {}, {}};
    for (const auto& gradient : gradients_) out.input_gradients.push_back(values(*gradient));
    for (const auto& gradient : d_parameters_)
      out.parameter_gradients.push_back(download(gradient));
    return out;
  }

 private:
  Array<float> upload(const std::vector<float>& host) {
    Array<float> array(gpu_, host.size());
    gpu_.copy_from_host(array.data(), host.data(), host.size() * sizeof(float));
    return array;
  }
  std::vector<float> download(const Array<float>& array) {
    std::vector<float> host(array.size());
    gpu_.copy_to_host(host.data(), array.data(), host.size() * sizeof(float));
    return host;
  }
  std::vector<float> values(const Activation& a) const {
    std::vector<float> host(static_cast<std::size_t>(elements(a.dims())));
    gpu_.read(a, host);
    return host;
  }
  CudaBackend& gpu_;
  std::unique_ptr<Layer> layer_;
  std::unique_ptr<Activation> y_, dy_;
  Array<float> state_;
  std::vector<std::unique_ptr<Activation>> inputs_, gradients_;
  std::vector<const Activation*> in_;
  std::vector<Activation*> dx_;
  std::vector<Array<float>> parameters_, d_parameters_;
  std::vector<const float*> p_;
  std::vector<float*> dp_;
};

class Layers : public GpuTest {
 protected:
  void compare(const LayerShape& shape, unsigned seed, std::size_t integer_input = SIZE_MAX,
               std::int64_t integers = 0, double tolerance = 2e-5) {
    SCOPED_TRACE(testing::Message() << layer_name(shape) << ", seed " << seed);
    const Given given = random_given(shape, seed, integer_input, integers);
    ReferenceRun reference(shape, given, integer_input);
    GpuRun gpu(*gpu_, shape, given, integer_input);
    const std::vector<float> dy = without_flips(given.dy, gpu.y(), reference.y());
    const Outcome<double> want = reference.backward(dy);
    const Outcome<float> got = gpu.backward(dy);
    EXPECT_LT(relative_error(got.y, want.y), tolerance) << "forward";
    for (std::size_t i = 0; i < want.input_gradients.size(); ++i) {
      if (i == integer_input) continue;
      EXPECT_LT(relative_error(got.input_gradients[i], want.input_gradients[i]), tolerance)
          << "input gradient " << i;
    }
    for (std::size_t i = 0; i < want.parameter_gradients.size(); ++i) {
      EXPECT_LT(relative_error(got.parameter_gradients[i], want.parameter_gradients[i]), tolerance)
          << "parameter gradient " << i;
    }
    if (!want.state.empty()) {
      EXPECT_LT(relative_error(got.state, want.state), tolerance) << "state";
    }
  }

 private:
  /// A ReLU whose input rounds to the other side of zero passes another gradient, rightly: none is
  /// asked for there. Such places are few and their outputs tiny.
  static std::vector<float> without_flips(std::vector<float> dy, const std::vector<float>& got,
                                          const std::vector<double>& want) {
    std::size_t flips = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      if ((got[i] == 0) == (want[i] == 0)) continue;
      EXPECT_LT(std::max(std::fabs(double{got[i]}), std::fabs(want[i])), 1e-4) << "at " << i;
      dy[i] = 0;
      ++flips;
    }
    EXPECT_LE(flips, 1 + got.size() / 10000);
    return dy;
  }
};

// By cuDNN where the module has it: Winograd and FFT round more than sums of products do.
TEST_F(Layers, Convolution) {
  const double tolerance = gpu_->device().engine == "cudnn" ? 1e-4 : 2e-5;
  const auto agree = [&](const Conv2dShape& shape, unsigned seed) {
    compare(shape, seed, SIZE_MAX, 0, tolerance);
  };
  agree({{4, 3, 17, 15}, 8, square_window(3, 1, 1), 1, true}, 1);
  agree({{3, 8, 14, 14}, 6, square_window(3, 2, 1), 2, false}, 2);
  agree({{2, 16, 7, 7}, 12, square_window(1), 1, false}, 3);
  agree({{2, 3, 23, 23}, 4, {5, 3, 2, 1, 2, 0}, 1, true}, 4);
  agree({{2, 8, 9, 9}, 8, square_window(3, 1, 1), 8, false}, 5);
}
TEST_F(Layers, ConvolutionChoicesAreOfLayersThatHaveRun) {
  if (gpu_->device().engine != "cudnn") GTEST_SKIP() << "this module is built without cuDNN";
  EXPECT_TRUE(gpu_->convolution_choices().empty());
  const Conv2dShape shape{{2, 4, 9, 9}, 8, square_window(3, 1, 1), 1, false};
  {
    const auto layer = gpu_->make_layer(shape);
    EXPECT_TRUE(gpu_->convolution_choices().empty());
    const auto x = gpu_->make_activation({2, 4, 9, 9}), y = gpu_->make_activation({2, 8, 9, 9});
    gpu_->write(normal_values(2 * 4 * 81, 1), *x);
    const auto weight = to_gpu(normal_values(8 * 4 * 9, 2));
    const std::vector<const Activation*> inputs{x.get()};
    const std::vector<const float*> parameters{weight.data()};
    layer->forward({inputs, *y, parameters, nullptr, true, 0});
    const auto choices = gpu_->convolution_choices();
    ASSERT_EQ(choices.size(), 1u);
    EXPECT_EQ(choices[0].pass, "forward");
    EXPECT_TRUE(choices[0].measured);
    EXPECT_GE(choices[0].algorithm, 0);
    EXPECT_LE(choices[0].workspace_bytes, choices[0].workspace_limit_bytes);
    EXPECT_EQ(choices[0].instead, "");
  }
  EXPECT_TRUE(gpu_->convolution_choices().empty());
}
// Only the emulated cuDNN (tests/cuda/emulated) can be told to have no algorithm.
TEST_F(Layers, ConvolutionWithoutAnAlgorithmGoesThroughMatrixProducts) {
  if (!emulated()) GTEST_SKIP() << "this is no emulation";
  const Environment refused("PACELINE_EMULATED_CUDNN_REFUSES", "2");
  const Conv2dShape shape{{3, 8, 14, 14}, 6, square_window(3, 2, 1), 2, false};
  compare(shape, 2);
  const auto layer = gpu_->make_layer(shape);
  const auto choices = gpu_->convolution_choices();
  ASSERT_EQ(choices.size(), 1u);
  EXPECT_EQ(choices[0].pass, "all");
  EXPECT_NE(choices[0].instead.find("im2col+cublas: cuDNN offers no"), std::string::npos);
}
TEST_F(Layers, ConvolutionThroughMatrixProducts) {
  const Environment chosen("PACELINE_CUDA_CONVOLUTION", "im2col");
  compare(Conv2dShape{{4, 3, 17, 15}, 8, square_window(3, 1, 1), 1, true}, 1);
  compare(Conv2dShape{{3, 8, 14, 14}, 6, square_window(3, 2, 1), 2, false}, 2);
  compare(Conv2dShape{{2, 16, 7, 7}, 12, square_window(1), 1, false}, 3);
  compare(Conv2dShape{{2, 16, 7, 7}, 12, square_window(1), 4, false}, 3);
  compare(Conv2dShape{{2, 3, 23, 23}, 4, {5, 3, 2, 1, 2, 0}, 1, true}, 4);
}
TEST_F(Layers, Dense) {
  compare(DenseShape{37, 129, 65, true}, 1);
  compare(DenseShape{1, 5, 3, false}, 2);
}
TEST_F(Layers, BatchNorm) {
  compare(BatchNormShape{{8, 5, 9, 7}, 1e-5, 0.1, false}, 1);
  compare(BatchNormShape{{32, 64, 14, 14}, 1e-5, 0.1, true}, 2);
}
TEST_F(Layers, LayerNorm) {
  compare(LayerNormShape{33, 700, 1e-5}, 1);
  compare(LayerNormShape{3, 5, 1e-5}, 2);
}
TEST_F(Layers, Pointwise) {
  for (const auto function : {PointwiseFunction::relu, PointwiseFunction::tanh,
                              PointwiseFunction::sigmoid, PointwiseFunction::gelu}) {
    compare(PointwiseShape{{7, 11, 13}, function}, 1);
  }
}
TEST_F(Layers, Pool) {
  for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
    for (const bool ceil : {false, true}) {
      compare(PoolShape{{2, 3, 13, 14}, square_window(3, 2, 1), kind, ceil, true}, 1);
      compare(PoolShape{{2, 3, 12, 12}, square_window(2, 2, 0), kind, ceil, false}, 2);
      compare(PoolShape{{2, 3, 11, 9}, square_window(3, 2, 1), kind, ceil, false}, 3);
    }
  }
  compare(global_average({4, 6, 7, 7}), 4);
}
TEST_F(Layers, Lrn) {
  compare(LrnShape{{2, 12, 5, 5}, 5, 1e-2, 0.75, 1}, 1);
}
TEST_F(Layers, AddConcatReshapeSubsample) {
  compare(AddShape{{3, 4, 5}, 2, false}, 1);
  compare(AddShape{{3, 4, 5}, 4, true}, 2);
  compare(ConcatShape{3, {2, 5, 1}, 4, 6}, 3);
  compare(ReshapeShape{{2, 3, 4, 4}, {2, 48}}, 4);
  compare(SubsamplePadShape{{2, 16, 8, 8}, 32, 2}, 5);
}
TEST_F(Layers, Dropout) {
  compare(DropoutShape{{9, 31}, 0.5, 3}, 1);
  compare(DropoutShape{{1000}, 0.1, 7}, 2);
}
TEST_F(Layers, Embedding) {
  compare(EmbeddingShape{70, 20, 33}, 1, 0, 20);
}
TEST_F(Layers, Lstm) {
  compare(LstmShape{5, 7, 12, 9, 2}, 1);
  compare(LstmShape{2, 1, 3, 4, 0}, 2);
  compare(LstmShape{3, 4, 6, 8, 1}, 3);
}
TEST_F(Layers, SoftmaxLoss) {
  compare(SoftmaxLossShape{19, 10}, 1, 1, 10);
  compare(SoftmaxLossShape{5, 10007}, 2, 1, 10007);
}
TEST_F(Layers, ABadLabelIsToldAtTheNextWait) {
  const SoftmaxLossShape shape{2, 4};
  const auto layer = gpu_->make_layer(shape);
  const auto logits = gpu_->make_activation({2, 4});
  const auto labels = gpu_->make_activation({2});
  const auto y = gpu_->make_activation({2});
  gpu_->write(normal_values(8, 1), *logits);
  gpu_->write(std::vector<float>{1, 4}, *labels);
  const std::vector<const Activation*> inputs{logits.get(), labels.get()};
  layer->forward({inputs, *y});
  EXPECT_THROW(gpu_->synchronize(), InputError);
  gpu_->synchronize();  // told once
}

}  // namespace
}  // namespace paceline::kernels
