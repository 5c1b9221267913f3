#include "tests/cuda/gpu_backend.hpp"

// Every layer, forward and backward, against the reference in double on the same inputs.
namespace paceline::kernels {
namespace {

class Layers : public GpuTest {
 protected:
  // Fresh random inputs, parameters and output gradients; `integers` > 0: the named input holds
  // whole numbers below it.
  void compare(const LayerShape& shape, unsigned seed, std::size_t integer_input = SIZE_MAX,
               std::int64_t integers = 0, double tolerance = 2e-5) {
    SCOPED_TRACE(testing::Message() << layer_name(shape) << ", seed " << seed);
    const auto dims = input_dims(shape);
    std::vector<std::vector<float>> inputs;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      inputs.push_back(normal_values(static_cast<std::size_t>(elements(dims[i])),
                                     seed + 10 * static_cast<unsigned>(i)));
      if (i != integer_input) continue;
      std::mt19937 engine(seed);
      for (float& x : inputs.back())
        x = static_cast<float>(engine() % static_cast<unsigned>(integers));
    }
    std::vector<std::vector<float>> parameters;
    for (const Dims& d : parameter_dims(shape)) {
      parameters.push_back(normal_values(static_cast<std::size_t>(elements(d)),
                                         seed + 100 + static_cast<unsigned>(parameters.size()),
                                         0.3f));
    }
    const auto output_size = static_cast<std::size_t>(elements(output_dims(shape)));
    auto dy = normal_values(output_size, seed + 1000);
    const auto state = initial_state(shape);

    // Reference, in double.
    const auto wide = [](const std::vector<float>& x) {
      return std::vector<double>(x.begin(), x.end());
    };
    const auto layer = make_reference_layer<double>(shape);
    std::vector<std::unique_ptr<PlainActivation<double>>> ref_inputs, ref_gradients;
    std::vector<const Activation*> ref_in;
    std::vector<Activation*> ref_dx;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      ref_inputs.push_back(std::make_unique<PlainActivation<double>>(dims[i]));
      std::copy(inputs[i].begin(), inputs[i].end(), ref_inputs[i]->data());
      ref_in.push_back(ref_inputs[i].get());
      ref_gradients.push_back(std::make_unique<PlainActivation<double>>(dims[i]));
      ref_dx.push_back(i == integer_input ? nullptr : ref_gradients[i].get());
    }
    std::vector<std::vector<double>> ref_parameters, ref_dp;
    std::vector<const double*> ref_p;
    std::vector<double*> ref_dp_pointers;
    for (const auto& p : parameters) ref_parameters.push_back(wide(p));
    ref_dp = ref_parameters;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      ref_p.push_back(ref_parameters[i].data());
      ref_dp_pointers.push_back(ref_dp[i].data());
    }
    auto ref_state = wide(state);
    PlainActivation<double> ref_y(output_dims(shape)), ref_dy(output_dims(shape));
    std::copy(dy.begin(), dy.end(), ref_dy.data());
    layer->forward({ref_in, ref_y, ref_p, ref_state.data(), true, 99});
    layer->backward({ref_in, ref_y, ref_dy, ref_p, ref_dx, ref_dp_pointers});

    // GPU.
    const auto gpu_layer = gpu_->make_layer(shape);
    std::vector<std::unique_ptr<Activation>> in, gradients;
    std::vector<const Activation*> in_pointers;
    std::vector<Activation*> dx_pointers;
    for (std::size_t i = 0; i < dims.size(); ++i) {
      in.push_back(gpu_->make_activation(dims[i]));
      gpu_->write(inputs[i], *in[i]);
      in_pointers.push_back(in[i].get());
      gradients.push_back(gpu_->make_activation(dims[i]));
      gpu_->write(std::vector<float>(inputs[i].size(), NAN), *gradients[i]);
      dx_pointers.push_back(i == integer_input ? nullptr : gradients[i].get());
    }
    std::vector<Array<float>> p, dp;
    std::vector<const float*> p_pointers;
    std::vector<float*> dp_pointers;
    for (const auto& parameter : parameters) {
      p.push_back(to_gpu(parameter));
      dp.push_back(poisoned<float>(parameter.size()));
      p_pointers.push_back(p.back().data());
      dp_pointers.push_back(dp.back().data());
    }
    auto gpu_state = to_gpu(state.empty() ? std::vector<float>(1) : state);
    const auto y = gpu_->make_activation(output_dims(shape));
    gpu_->write(std::vector<float>(output_size, NAN), *y);
    const auto gpu_dy = gpu_->make_activation(output_dims(shape));
    gpu_->write(dy, *gpu_dy);
    gpu_layer->forward({in_pointers, *y, p_pointers, gpu_state.data(), true, 99});
    gpu_layer->backward({in_pointers, *y, *gpu_dy, p_pointers, dx_pointers, dp_pointers});

    const auto values_of = [&](const Activation& a) {
      std::vector<float> host(static_cast<std::size_t>(elements(a.dims())));
      gpu_->read(a, host);
      return host;
    };
    const auto plain = [](const PlainActivation<double>& a) {
      return std::vector<double>(a.data(), a.data() + a.size());
    };
    EXPECT_LT(relative_error(values_of(*y), plain(ref_y)), tolerance) << "forward";
    for (std::size_t i = 0; i < dims.size(); ++i) {
      if (i == integer_input) continue;
      EXPECT_LT(relative_error(values_of(*gradients[i]), plain(*ref_gradients[i])), tolerance)
          << "input gradient " << i;
    }
    for (std::size_t i = 0; i < dp.size(); ++i) {
      EXPECT_LT(relative_error(to_host(dp[i]), ref_dp[i]), tolerance) << "parameter gradient " << i;
    }
    if (!state.empty()) {
      EXPECT_LT(relative_error(to_host(gpu_state), ref_state), tolerance) << "state";
    }
  }
};

TEST_F(Layers, Convolution) {
  compare(Conv2dShape{{4, 3, 17, 15}, 8, square_window(3, 1, 1), 1, true}, 1);
  compare(Conv2dShape{{3, 8, 14, 14}, 6, square_window(3, 2, 1), 2, false}, 2);
  compare(Conv2dShape{{2, 16, 7, 7}, 12, square_window(1), 1, false}, 3);
  compare(Conv2dShape{{2, 3, 23, 23}, 4, {5, 3, 2, 1, 2, 0}, 1, true}, 4);
  compare(Conv2dShape{{2, 8, 9, 9}, 8, square_window(3, 1, 1), 8, false}, 5);
}
TEST_F(Layers, ConvolutionThroughMatrixProducts) {
  setenv("PACELINE_CUDA_CONVOLUTION", "im2col", 1);
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
  compare(BatchNormShape{{32, 64, 14, 14}, 1e-5, 0.1, true}, 2, SIZE_MAX, 0, 1e-4);
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
