#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <new>

#include "kernels/plain.hpp"
#include "models/data/random_stream.hpp"
#include "models/network/execution.hpp"
#include "models/network/network.hpp"
#include "models/zoo.hpp"

// The gradient of whole networks against central differences, in double.
namespace paceline {
namespace {

// The reference layers in double, with what Execution asks of a device.
struct DoubleDevice {
  static auto make_layer(const kernels::LayerShape& shape) {
    return kernels::make_reference_layer<double>(shape);
  }
  static std::unique_ptr<kernels::Activation> make_activation(const kernels::Dims& dims) {
    return std::make_unique<kernels::PlainActivation<double>>(dims);
  }
  static void accumulate(const kernels::Activation& term, kernels::Activation& sum) {
    for (std::int64_t i = 0; i < kernels::elements(sum.dims()); ++i)
      kernels::values<double>(sum)[i] += kernels::values<double>(term)[i];
  }
  static void axpy(double a, std::span<const double> x, std::span<double> y) {
    for (std::size_t i = 0; i < x.size(); ++i) y[i] += a * x[i];
  }
  static void* allocate(std::size_t bytes) { return ::operator new(bytes); }
  static void release(void* memory) { ::operator delete(memory); }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
  }
};

class DoubleNetwork {
 public:
  DoubleNetwork(const Model& model, std::int64_t batch, std::uint64_t seed)
      : run_(plan_network(model, batch), device_), random_(seed, 0) {
    const NetworkPlan& plan = run_.plan();
    const Operation* input = nullptr;
    for (const Operation& op : model.operations())
      if (op.is<InputOp>()) input = &op;
    const std::int64_t entries = std::get<InputOp>(input->attributes).entries;
    fill(run_.value(plan.input), [&] {
      return entries > 0 ? static_cast<double>(random_.below(entries)) : random_.normal();
    });
    fill(run_.value(plan.labels),
         [&] { return static_cast<double>(random_.below(model.classes())); });
    for (const NetworkLoss& loss : plan.losses) {
      kernels::values<double>(run_.gradient(loss.gradient))[0] = loss.weight;
      kernels::values<double>(run_.gradient(loss.gradient))[1] = 0;
    }
    for (const float start : initial_parameters(model, seed))
      parameters_.push_back(start + .1 * random_.normal());
    gradient_.resize(parameters_.size());
  }

  double loss() {
    run_.reset_state();
    run_.forward(0, run_.plan().steps.size(), parameters_.data(), true, 5);
    double sum = 0;
    for (const NetworkLoss& loss : run_.plan().losses)
      sum +=
          loss.weight * kernels::values<double>(run_.value(run_.plan().steps[loss.step].output))[0];
    return sum;
  }

  void check() {
    loss();
    run_.backward(0, run_.plan().steps.size(), parameters_.data(), gradient_.data());
    double largest = 0;
    for (const double g : gradient_) largest = std::max(largest, std::abs(g));
    EXPECT_GT(largest, 1e-3);
    const std::int64_t count = static_cast<std::int64_t>(parameters_.size());
    for (int trial = 0; trial < 80; ++trial) {
      const auto i = static_cast<std::size_t>(random_.below(count));
      constexpr double h = 1e-6;
      const double at = parameters_[i];
      parameters_[i] = at + h;
      const double above = loss();
      parameters_[i] = at - h;
      const double below = loss();
      parameters_[i] = at;
      EXPECT_NEAR(gradient_[i], (above - below) / (2 * h), 1e-7 * (1 + largest))
          << "parameter " << i;
    }
  }

 private:
  template <class Draw>
  static void fill(kernels::Activation& activation, Draw draw) {
    for (std::int64_t i = 0; i < kernels::elements(activation.dims()); ++i)
      kernels::values<double>(activation)[i] = draw();
  }

  DoubleDevice device_;
  Execution<double, DoubleDevice> run_;
  RandomStream random_;
  std::vector<double> parameters_, gradient_;
};

void check_gradient(const Model& model, std::int64_t batch, std::uint64_t seed = 3) {
  SCOPED_TRACE(model.name());
  DoubleNetwork(model, batch, seed).check();
}

TEST(NetworkGradient, BranchesSumsAndAnAuxiliaryHead) {
  GraphBuilder g("branches");
  const std::size_t image = g.input("image", {3, 8, 8});
  std::size_t x = g.conv2d("stem", image, {.channels = 4, .kernel = 3, .padding = 1});
  x = g.relu("stem.relu", g.batch_norm("stem.bn", x));
  const std::size_t left = g.conv2d("left", x, {.channels = 2, .kernel = 1});
  const std::size_t pooled = g.max_pool("pool", x, {.kernel = 3, .stride = 1, .padding = 1});
  const std::size_t right = g.conv2d("right", pooled, {.channels = 3, .kernel = 3, .padding = 1});
  // The stem is read three times, once through the concat itself.
  std::size_t y = g.concat("join", {left, x, right, left});
  y = g.batch_norm("join.bn", g.lrn("lrn", y));
  y = g.relu("sum.relu", g.add("sum", {y, y, g.conv2d("skip", x, {.channels = 11})}));
  g.auxiliary(true);
  g.softmax_loss("aux.loss", g.dense("aux.fc", g.flatten("aux.flat", x), {.features = 5}), .3);
  g.auxiliary(false);
  y = g.dropout("drop", g.avg_pool("shrink", y, {.kernel = 2, .stride = 2}), .3);
  g.softmax_loss("loss", g.dense("fc", g.global_avg_pool("gap", y), {.features = 5}));
  check_gradient(g.build(), 3);
}

// Sums and joins over the same few values in every pattern that might share or reuse an array
// wrongly.
TEST(NetworkGradient, RandomGraphs) {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    RandomStream random(seed, 9);
    GraphBuilder g("random" + std::to_string(seed));
    const std::size_t image = g.input("image", {2, 6, 6});
    std::vector<std::size_t> pool{g.conv2d("stem", image, {.channels = 4, .kernel = 1})};
    const auto any = [&] {
      return pool[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(pool.size())))];
    };
    for (int i = 0; i < 9; ++i) {
      const std::string name = "op" + std::to_string(i);
      std::size_t made = 0;
      switch (random.below(7)) {
        case 0:
          made = g.conv2d(name, any(), {.channels = 4, .kernel = 3, .padding = 1, .groups = 2});
          break;
        case 1:
          made = g.relu(name, any());
          break;
        case 2:
          made = g.batch_norm(name, any());
          break;
        case 3:
          made = g.add(name, {any(), any()});
          break;
        case 4:
          made = g.add(name, {any(), any(), any()});
          break;
        case 5:
          made = g.conv2d(name + ".mix", g.concat(name, {any(), any(), any()}), {.channels = 4});
          break;
        default:
          made = g.add_operation(name, {any()}, TanhOp{});
      }
      pool.push_back(made);
    }
    // No loose ends; repeated doubling would saturate the softmax.
    const std::size_t all = g.batch_norm("norm", g.concat("all", pool));
    g.softmax_loss("loss", g.dense("fc", g.flatten("flat", all), {.features = 3}));
    check_gradient(g.build(), 2, seed);
  }
}

TEST(NetworkGradient, ReluReadTogetherWithItsNormIsNotFused) {
  GraphBuilder g("unfused");
  std::size_t x = g.conv2d("conv", g.input("image", {1, 5, 5}), {.channels = 3, .kernel = 3});
  x = g.batch_norm("bn", x);
  x = g.add("sum", {g.relu("relu", x), x});
  g.softmax_loss("loss", g.dense("fc", g.flatten("flat", x), {.features = 4}));
  check_gradient(g.build(), 3);
}

TEST(NetworkGradient, TiedWeights) {
  check_gradient(make_lstm_language_model({.layers = 2,
                                           .hidden = 5,
                                           .vocabulary = 7,
                                           .time_steps = 4,
                                           .tied = true,
                                           .dropout = .2}),
                 3);
  GraphBuilder g("thrice");
  std::size_t x = g.dense("a", g.input("x", {6}), {.features = 6});
  x = g.dense("b", g.relu("ra", x), {.features = 6, .tied_to = "a.weight"});
  x = g.dense("c", g.add_operation("tb", {x}, TanhOp{}), {.features = 6, .tied_to = "a.weight"});
  x = g.dense("d", g.add_operation("tc", {x}, GeluOp{}), {.features = 6, .tied_to = "a.weight"});
  g.softmax_loss("loss", x);
  check_gradient(g.build(), 4);
}

TEST(NetworkGradient, LstmLanguageModel) {
  for (const std::int64_t biases : {1, 2})
    check_gradient(make_lstm_language_model({.layers = 2,
                                             .hidden = 4,
                                             .vocabulary = 9,
                                             .time_steps = 5,
                                             .biases = biases,
                                             .dropout = .3}),
                   2);
}

TEST(NetworkGradient, LeNet5) {
  check_gradient(make_model("lenet5"), 2);
}

}  // namespace
}  // namespace paceline
