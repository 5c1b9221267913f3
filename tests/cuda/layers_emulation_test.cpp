#include <array>

#include "kernels/arrange/cuda.cuh"
#include "kernels/batch_norm/cuda.cuh"
#include "kernels/conv2d/im2col.cuh"
#include "kernels/cuda/operations.cuh"
#include "kernels/dropout/cuda.cuh"
#include "kernels/embedding/cuda.cuh"
#include "kernels/layer_norm/cuda.cuh"
#include "kernels/lrn/cuda.cuh"
#include "kernels/lstm/cuda.cuh"
#include "kernels/pool/cuda.cuh"
#include "kernels/random.hpp"
#include "kernels/softmax_loss/cuda.cuh"
#include "tests/cuda/kernels_emulation.hpp"

// The source of the layers' kernels, run on the CPU, against the reference.
namespace paceline::cuda {
namespace {

TEST(LayerEmulation, RandomWordsAreThePhiloxOfTheReference) {
  for (const std::uint64_t index : {0ull, 1ull, 123456789ull, 1ull << 40}) {
    const auto want = kernels::random_words(0x123456789abcdefull, 77, index);
    const uint4 got = random_words(0x123456789abcdefull, 77, index);
    EXPECT_EQ((std::array<std::uint32_t, 4>{got.x, got.y, got.z, got.w}), want);
  }
}

// A reference layer's forward and backward, for the kernels to be compared with.
struct Reference {
  explicit Reference(const kernels::LayerShape& shape, unsigned seed, float integers = 0)
      : layer(kernels::make_reference_layer<float>(shape)) {
    const auto dims = kernels::input_dims(shape);
    for (std::size_t i = 0; i < dims.size(); ++i) {
      inputs.push_back(std::make_unique<kernels::PlainActivation<float>>(dims[i]));
      gradients.push_back(std::make_unique<kernels::PlainActivation<float>>(dims[i]));
      auto values = normal(inputs[i]->size(), seed + static_cast<unsigned>(i));
      if (integers > 0 && i + 1 == dims.size()) {
        for (float& v : values)
          v = std::floor(std::fabs(v) * 1000) -
              integers * std::floor(std::floor(std::fabs(v) * 1000) / integers);
      }
      std::copy(values.begin(), values.end(), inputs[i]->data());
      input_pointers.push_back(inputs[i].get());
      gradient_pointers.push_back(integers > 0 && i + 1 == dims.size() ? nullptr
                                                                       : gradients[i].get());
    }
    for (const auto& d : kernels::parameter_dims(shape)) {
      parameters.push_back(normal(static_cast<std::size_t>(kernels::elements(d)),
                                  seed + 50 + static_cast<unsigned>(parameters.size())));
      parameter_gradients.push_back(poison(parameters.back().size()));
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameter_pointers.push_back(parameters[i].data());
      parameter_gradient_pointers.push_back(parameter_gradients[i].data());
    }
    state = kernels::initial_state(shape);
    first_state = state;
    output = std::make_unique<kernels::PlainActivation<float>>(kernels::output_dims(shape));
    output_gradient =
        std::make_unique<kernels::PlainActivation<float>>(kernels::output_dims(shape));
    const auto dy = normal(output->size(), seed + 99);
    std::copy(dy.begin(), dy.end(), output_gradient->data());
    layer->forward({input_pointers, *output, parameter_pointers, state.data(), true, 5});
    layer->backward({input_pointers, *output, *output_gradient, parameter_pointers,
                     gradient_pointers, parameter_gradient_pointers});
  }
  const float* x(std::size_t i = 0) const { return inputs[i]->data(); }
  const float* dy() const { return output_gradient->data(); }

  std::unique_ptr<kernels::Layer> layer;
  std::vector<std::unique_ptr<kernels::PlainActivation<float>>> inputs, gradients;
  std::vector<const kernels::Activation*> input_pointers;
  std::vector<kernels::Activation*> gradient_pointers;
  std::vector<std::vector<float>> parameters, parameter_gradients;
  std::vector<const float*> parameter_pointers;
  std::vector<float*> parameter_gradient_pointers;
  std::vector<float> state, first_state;
  std::unique_ptr<kernels::PlainActivation<float>> output, output_gradient;
};

TEST(LayerEmulation, BatchNorm) {
  for (const bool relu : {false, true}) {
    const kernels::BatchNormShape shape{{5, 3, 11, 13}, 1e-5, 0.1, relu};
    const Reference want(shape, 1);
    const Plane plane{5, 3, 143};
    const unsigned parts = 2;
    std::vector<Moments> partial(3 * parts);
    auto state = want.first_state;
    std::vector<float> mean = poison(3), inverse = poison(3), y = poison(5 * 3 * 143), dx = y,
                       scale = mean, shift = mean;
    PACELINE_LAUNCH(nullptr, dim3(3, parts), layer_threads, (batch_norm_moments_kernel), want.x(),
                    plane, partial.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (batch_norm_statistics_kernel), want.x(), plane,
                    partial.data(), parts, 1e-5, 0.1, mean.data(), inverse.data(), state.data(),
                    state.data() + 3);
    PACELINE_LAUNCH(nullptr, 2, layer_threads, (batch_norm_apply_kernel), want.x(), plane,
                    mean.data(), inverse.data(), want.parameters[0].data(),
                    want.parameters[1].data(), relu, y.data());
    expect_near(y, want.output->data());
    expect_near(state, want.state.data());
    PACELINE_LAUNCH(nullptr, dim3(3, parts), layer_threads, (batch_norm_gradient_sums_kernel),
                    want.x(), y.data(), want.dy(), plane, mean.data(), inverse.data(), relu,
                    partial.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (batch_norm_parameter_gradients_kernel),
                    partial.data(), parts, 3u, scale.data(), shift.data());
    PACELINE_LAUNCH(nullptr, 2, layer_threads, (batch_norm_input_gradient_kernel), want.x(),
                    y.data(), want.dy(), plane, mean.data(), inverse.data(),
                    want.parameters[0].data(), scale.data(), shift.data(), relu, dx.data());
    expect_near(scale, want.parameter_gradients[0].data(), 1e-4);
    expect_near(shift, want.parameter_gradients[1].data(), 1e-4);
    expect_near(dx, want.gradients[0]->data(), 1e-4);
  }
}

TEST(LayerEmulation, LayerNorm) {
  const Reference want(kernels::LayerNormShape{7, 300, 1e-5}, 2);
  std::vector<float> mean = poison(7), inverse = poison(7), y = poison(2100), dx = y,
                     scale = poison(300), shift = scale;
  PACELINE_LAUNCH(nullptr, 7, layer_threads, (layer_norm_kernel), want.x(), 300u, 1e-5,
                  want.parameters[0].data(), want.parameters[1].data(), mean.data(), inverse.data(),
                  y.data());
  PACELINE_LAUNCH(nullptr, 10, layer_threads, (layer_norm_parameter_gradients_kernel), want.x(),
                  want.dy(), 7u, 300u, mean.data(), inverse.data(), scale.data(), shift.data());
  PACELINE_LAUNCH(nullptr, 7, layer_threads, (layer_norm_input_gradient_kernel), want.x(),
                  want.dy(), 300u, want.parameters[0].data(), mean.data(), inverse.data(),
                  dx.data());
  expect_near(y, want.output->data());
  expect_near(scale, want.parameter_gradients[0].data());
  expect_near(shift, want.parameter_gradients[1].data());
  expect_near(dx, want.gradients[0]->data());
}

TEST(LayerEmulation, Pool) {
  for (const bool maximum : {false, true}) {
    for (const bool ceil : {false, true}) {
      for (const bool count_padding : {false, true}) {
        const kernels::PoolShape shape{
            {2, 3, 13, 10},
            {3, 2, 2, 3, 1, 1},
            maximum ? kernels::PoolKind::max : kernels::PoolKind::average,
            ceil,
            count_padding};
        const Reference want(shape, 3);
        const auto out = shape.output();
        const PoolGeometry g{6,
                             13,
                             10,
                             static_cast<int>(out.height),
                             static_cast<int>(out.width),
                             3,
                             2,
                             2,
                             3,
                             1,
                             1,
                             count_padding};
        std::vector<float> y = poison(want.output->size()), dx = poison(want.inputs[0]->size());
        std::vector<std::int32_t> where(y.size(), -7);
        PACELINE_LAUNCH(nullptr, 2, layer_threads, (pool_kernel), want.x(), g, maximum, y.data(),
                        where.data());
        PACELINE_LAUNCH(nullptr, 2, layer_threads, (pool_gradient_kernel), want.dy(), where.data(),
                        g, maximum, dx.data());
        expect_near(y, want.output->data());
        expect_near(dx, want.gradients[0]->data());
      }
    }
  }
}

TEST(LayerEmulation, LrnSubsampleAddDropoutBias) {
  {
    const Reference want(kernels::LrnShape{{2, 9, 3, 3}, 5, 0.02, 0.75, 1}, 4);
    const LrnGeometry g{9, 9, 162, 5, 0.02f, 0.75f, 1.0f};
    std::vector<float> base = poison(162), y = base, dx = base;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lrn_kernel), want.x(), g, base.data(), y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lrn_gradient_kernel), want.x(), base.data(),
                    y.data(), want.dy(), g, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  {
    const Reference want(kernels::SubsamplePadShape{{2, 3, 7, 8}, 8, 2}, 5);
    const ShortcutGeometry g{3, 7, 8, 8, 4, 4, 2, 2};
    std::vector<float> y = poison(want.output->size()), dx = poison(want.inputs[0]->size());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (subsample_pad_kernel), want.x(), g, y.size(),
                    y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (subsample_pad_gradient_kernel), want.dy(), g,
                    dx.size(), dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  {
    const Reference want(kernels::AddShape{{5, 21}, 3, true}, 6);
    std::vector<float> y = poison(105);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (add_kernel),
                    AddInputs{{want.x(0), want.x(1), want.x(2)}, 3}, 105u, true, y.data());
    expect_near(y, want.output->data());
  }
  {
    const Reference want(kernels::DropoutShape{{1003}, 0.3, 12}, 7);
    std::vector<float> y = poison(1003), dx = y;
    const auto limit = static_cast<std::uint64_t>(std::round(0.3 * 0x1p32));
    const auto factor = static_cast<float>(1 / (1 - 0.3));
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (dropout_kernel), want.x(), 1003u, 5u, 12u, limit,
                    factor, y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (dropout_kernel), want.dy(), 1003u, 5u, 12u, limit,
                    factor, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
  const auto x = normal(6 * 5 * 4, 8);
  std::vector<float> sums = poison(5), columns = poison(20), bias = normal(5, 9), y = x;
  PACELINE_LAUNCH(nullptr, 5, layer_threads, (channel_sums_kernel), x.data(), 6u, 5u, 4u,
                  sums.data());
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (column_sums_kernel), x.data(), 6u, 20u,
                  columns.data());
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (add_bias_kernel), bias.data(), 5u, 4u, x.size(),
                  y.data());
  for (std::size_t c = 0; c < 5; ++c) {
    double sum = 0;
    double by_columns = 0;
    for (std::size_t i = 0; i < 24; ++i) sum += x[(i / 4 * 5 + c) * 4 + i % 4];
    for (std::size_t p = 0; p < 4; ++p) by_columns += columns[c * 4 + p];
    EXPECT_NEAR(sums[c], sum, 1e-5);
    EXPECT_NEAR(by_columns, sum, 1e-5);
    EXPECT_EQ(y[c * 4], x[c * 4] + bias[c]);
  }
}

TEST(LayerEmulation, EmbeddingAndSoftmaxLoss) {
  {
    const Reference want(kernels::EmbeddingShape{40, 9, 37}, 1, 9);
    std::vector<float> y = poison(want.output->size()), table(9 * 37, 0.0f);
    Fault fault{};
    PACELINE_LAUNCH(nullptr, 40, layer_threads, (embedding_kernel), want.x(),
                    want.parameters[0].data(), 9u, 37u, y.data(), &fault);
    PACELINE_LAUNCH(nullptr, 40, layer_threads, (embedding_gradient_kernel), want.x(), want.dy(),
                    40u, 9u, 37u, table.data(), &fault);
    expect_near(y, want.output->data());
    expect_near(table, want.parameter_gradients[0].data());
    EXPECT_EQ(fault.kind, 0);
    const float bad = 9;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (embedding_kernel), &bad, want.parameters[0].data(),
                    9u, 37u, y.data(), &fault);
    EXPECT_EQ(fault.kind, 1);
    EXPECT_EQ(fault.value, 9.0f);
  }
  for (const std::int64_t classes : {2, 10, 700}) {
    const Reference want(kernels::SoftmaxLossShape{13, classes}, 2, static_cast<float>(classes));
    const auto n = static_cast<std::size_t>(classes);
    std::vector<float> rows(4 * 13, NAN), y = poison(2), dx = poison(13 * n);
    Fault fault{};
    PACELINE_LAUNCH(nullptr, 13, layer_threads, (softmax_loss_kernel), want.x(0), want.x(1), n,
                    rows.data(), rows.data() + 13, rows.data() + 26, rows.data() + 39, &fault);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (loss_means_kernel), rows.data(), rows.data() + 13,
                    13u, y.data());
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (softmax_gradient_kernel), want.x(0), want.x(1),
                    rows.data() + 26, rows.data() + 39, want.dy(), 13u, n, dx.data());
    expect_near(y, want.output->data());
    expect_near(dx, want.gradients[0]->data());
  }
}

// C [m,n] = op(A) op(B) + beta C with row strides, as the CUDA layers ask of cuBLAS.
void product(bool ta, bool tb, std::size_t m, std::size_t n, std::size_t k, const float* a,
             std::size_t row_a, const float* b, std::size_t row_b, float beta, float* c,
             std::size_t row_c) {
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = beta == 0 ? 0 : beta * c[i * row_c + j];
      for (std::size_t l = 0; l < k; ++l)
        sum += double(ta ? a[l * row_a + i] : a[i * row_a + l]) *
               (tb ? b[j * row_b + l] : b[l * row_b + j]);
      c[i * row_c + j] = static_cast<float>(sum);
    }
  }
}

TEST(LayerEmulation, Lstm) {
  const std::size_t batch = 3, steps = 4, inputs = 5, hidden = 6;
  const Reference want(kernels::LstmShape{3, 4, 5, 6, 2}, 3);
  const LstmGeometry g{batch, steps, hidden};
  const auto& w = want.parameters[0];
  const auto& u = want.parameters[1];
  std::vector<float> gates = poison(batch * steps * 4 * hidden),
                     cells = poison(batch * steps * hidden), y = cells, previous = cells;
  std::vector<float> d_hidden = poison(batch * hidden), d_cell = d_hidden,
                     state = poison(2 * batch * hidden);
  const float* h0 = want.first_state.data();
  const float* c0 = h0 + batch * hidden;
  product(false, true, batch * steps, 4 * hidden, inputs, want.x(), inputs, w.data(), inputs, 0,
          gates.data(), 4 * hidden);
  for (std::size_t t = 0; t < steps; ++t) {
    product(false, true, batch, 4 * hidden, hidden, t == 0 ? h0 : y.data() + (t - 1) * hidden,
            t == 0 ? hidden : steps * hidden, u.data(), hidden, 1, gates.data() + t * 4 * hidden,
            steps * 4 * hidden);
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_step_kernel), g, t, want.parameters[2].data(),
                    want.parameters[3].data(), c0, gates.data(), cells.data(), y.data());
  }
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_state_kernel), g, y.data(), cells.data(),
                  state.data());
  expect_near(y, want.output->data());
  expect_near(state, want.state.data());
  for (std::size_t t = steps; t-- > 0;) {
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_step_gradient_kernel), g, t, want.dy(), c0,
                    cells.data(), d_hidden.data(), d_cell.data(), gates.data());
    product(false, false, batch, hidden, 4 * hidden, gates.data() + t * 4 * hidden,
            steps * 4 * hidden, u.data(), hidden, 0, d_hidden.data(), hidden);
  }
  std::vector<float> dw = poison(w.size()), du = poison(u.size()), db = poison(4 * hidden),
                     dx = poison(batch * steps * inputs);
  product(true, false, 4 * hidden, inputs, batch * steps, gates.data(), 4 * hidden, want.x(),
          inputs, 0, dw.data(), inputs);
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (lstm_previous_kernel), g, h0, y.data(),
                  previous.data());
  product(true, false, 4 * hidden, hidden, batch * steps, gates.data(), 4 * hidden, previous.data(),
          hidden, 0, du.data(), hidden);
  PACELINE_LAUNCH(nullptr, 1, layer_threads, (column_sums_kernel), gates.data(), batch * steps,
                  4 * hidden, db.data());
  product(false, false, batch * steps, inputs, 4 * hidden, gates.data(), 4 * hidden, w.data(),
          inputs, 0, dx.data(), inputs);
  expect_near(dw, want.parameter_gradients[0].data());
  expect_near(du, want.parameter_gradients[1].data());
  expect_near(db, want.parameter_gradients[2].data());
  expect_near(dx, want.gradients[0]->data());
}

TEST(LayerEmulation, ConvolutionAsMatrixProducts) {
  const kernels::Conv2dShape shape{{2, 4, 9, 8}, 6, {3, 2, 2, 1, 1, 0}, 2, false};
  const Reference want(shape, 4);
  const auto out = shape.output();
  const ConvGeometry g{2, 9, 8, static_cast<int>(out.height), static_cast<int>(out.width), 3, 2, 2,
                       1, 1, 0};
  const auto pixels = static_cast<std::size_t>(out.pixels());
  const std::size_t depth = 2 * 3 * 2, filters = 3, image = 4 * 72;
  std::vector<float> columns = poison(2 * depth * pixels), y = poison(want.output->size()),
                     dx = poison(2 * image), dw = poison(6 * depth);
  for (std::size_t group = 0; group < 2; ++group) {
    const float* weight = want.parameters[0].data() + group * filters * depth;
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (im2col_kernel), want.x() + group * 2 * 72, g, image,
                    columns.size(), columns.data());
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t at = (i * 6 + group * filters) * pixels;
      product(false, false, filters, pixels, depth, weight, depth,
              columns.data() + i * depth * pixels, pixels, 0, y.data() + at, pixels);
      product(false, true, filters, depth, pixels, want.dy() + at, pixels,
              columns.data() + i * depth * pixels, pixels, i == 0 ? 0.0f : 1.0f,
              dw.data() + group * filters * depth, depth);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      product(true, false, depth, pixels, filters, weight, depth,
              want.dy() + (i * 6 + group * filters) * pixels, pixels, 0,
              columns.data() + i * depth * pixels, pixels);
    }
    PACELINE_LAUNCH(nullptr, 1, layer_threads, (col2im_kernel), columns.data(), g, image,
                    2u * 2 * 72, dx.data() + group * 2 * 72);
  }
  expect_near(y, want.output->data());
  expect_near(dw, want.parameter_gradients[0].data());
  expect_near(dx, want.gradients[0]->data());
}

}  // namespace
}  // namespace paceline::cuda
