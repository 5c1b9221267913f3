#include "models/network/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "models/data/generated.hpp"
#include "models/data/random_stream.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

Batch random_batch(const Model& model, std::int64_t samples, std::uint64_t seed) {
  RandomStream random(seed, 77);
  const Operation& input = model.operations().front();
  const std::int64_t entries = std::get<InputOp>(input.attributes).entries;
  Batch batch;
  for (std::int64_t i = 0; i < samples * input.output_elements(); ++i)
    batch.inputs.push_back(entries > 0 ? static_cast<float>(random.below(entries))
                                       : static_cast<float>(random.normal()));
  const std::int64_t labels = samples * (entries > 0 ? input.output_elements() : 1);
  for (std::int64_t i = 0; i < labels; ++i)
    batch.labels.push_back(static_cast<float>(random.below(model.classes())));
  return batch;
}

struct Result {
  float loss = 0;
  std::vector<float> gradient, state;
};

Result whole_pass(const Model& model, const std::string& backend_name, const Batch& batch,
                  std::int64_t samples) {
  const auto backend = kernels::make_backend(backend_name);
  Network network(model, *backend, samples);
  const std::vector<float> parameters = initial_parameters(model, 1);
  Result result;
  result.gradient.resize(parameters.size());
  network.load(batch);
  network.forward(0, network.tensors(), parameters, true, 4);
  network.backward(0, network.tensors(), parameters, result.gradient);
  result.loss = network.loss();
  result.state.resize(static_cast<std::size_t>(network.state_elements()));
  network.read_state(result.state);
  return result;
}

double norm(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += double(v) * v;
  return std::sqrt(sum);
}
double difference(std::span<const float> x, std::span<const float> y) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (double(x[i]) - y[i]) * (double(x[i]) - y[i]);
  return std::sqrt(sum);
}

LstmLanguageModel small_language_model(bool tied) {
  return {.layers = 2, .hidden = 6, .vocabulary = 11, .time_steps = 5, .tied = tied, .dropout = .4};
}

TEST(Network, PiecesEqualTheWhole) {
  for (const Model& model : {make_model("lenet5"), make_model("resnet20-cifar"),
                             make_lstm_language_model(small_language_model(true))}) {
    SCOPED_TRACE(model.name());
    const Batch batch = random_batch(model, 2, 1);
    const Result whole = whole_pass(model, "reference", batch, 2);
    const auto backend = kernels::make_backend("reference");
    Network network(model, *backend, 2);
    const std::vector<float> parameters = initial_parameters(model, 1);
    std::vector<float> gradient(parameters.size(), 1e30f);
    network.load(batch);
    for (std::size_t p = 0; p < network.tensors();) {
      const std::size_t next = std::min(p + 1 + p % 3, network.tensors());
      network.forward(p, next, parameters, true, 4);
      p = next;
    }
    EXPECT_EQ(network.loss(), whole.loss);
    for (std::size_t p = 0; p < network.tensors(); ++p) {
      const std::size_t tensor = network.backward_order()[p];
      const auto begin = static_cast<std::size_t>(network.offset(tensor));
      network.backward(p, p + 1, parameters, gradient);
      // Complete when its piece ends, whatever is run later.
      for (std::size_t i = begin; i < static_cast<std::size_t>(network.offset(tensor + 1)); ++i)
        ASSERT_EQ(gradient[i], whole.gradient[i]) << model.tensors()[tensor].name;
    }
  }
}

// A piece must not compute what StepCosts books on a later one: its parameters may not have come.
TEST(Network, PiecesReadOnlyTheirParameters) {
  const Model model = make_model("lenet5");
  const Batch batch = random_batch(model, 2, 1);
  const Result whole = whole_pass(model, "reference", batch, 2);
  const auto backend = kernels::make_backend("reference");
  Network network(model, *backend, 2);
  const std::vector<float> parameters = initial_parameters(model, 1);
  std::vector<float> arrived(parameters.size(), NAN);
  network.load(batch);
  for (std::size_t p = 0; p < network.tensors(); ++p) {
    const auto begin = static_cast<std::size_t>(network.offset(p));
    const auto end = static_cast<std::size_t>(network.offset(p + 1));
    std::copy(parameters.begin() + static_cast<std::ptrdiff_t>(begin),
              parameters.begin() + static_cast<std::ptrdiff_t>(end),
              arrived.begin() + static_cast<std::ptrdiff_t>(begin));
    network.forward(p, p + 1, arrived, true, 4);
  }
  EXPECT_EQ(network.loss(), whole.loss);
}

TEST(Network, BackwardOrderIsThatOfTheGradientEvents) {
  const Model model = make_model("resnet20-cifar");
  std::vector<std::size_t> expected;
  for (const GradientEvent& event : gradient_events(model))
    expected.insert(expected.end(), event.tensors.begin(), event.tensors.end());
  EXPECT_EQ(plan_network(model, 1).backward_order, expected);
}

TEST(Network, FastBackendAgreesWithTheReference) {
  for (const Model& model : {make_model("mlp"), make_model("lenet5"), make_model("resnet20-cifar"),
                             make_lstm_language_model(small_language_model(false))}) {
    SCOPED_TRACE(model.name());
    // A ReLU within rounding of 0 may open on one side only, which is worth a percent of so small a
    // batch's gradient; that does not happen in every batch.
    double best = INFINITY;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const Batch batch = random_batch(model, 4, seed);
      const Result expected = whole_pass(model, "reference", batch, 4);
      const Result found = whole_pass(model, kernels::fastest_cpu_backend(), batch, 4);
      EXPECT_NEAR(found.loss, expected.loss, 1e-5 * expected.loss);
      EXPECT_LE(difference(found.state, expected.state), 1e-5 * norm(expected.state));
      best =
          std::min(best, difference(found.gradient, expected.gradient) / norm(expected.gradient));
    }
    EXPECT_LT(best, 1e-4);
  }
}

TEST(Network, ABigBatchIsTheMeanOfSmallOnes) {
  for (const Model& model : {make_model("lenet5"), make_model("mlp")}) {
    SCOPED_TRACE(model.name());
    const Batch all = random_batch(model, 12, 3);
    const Result whole = whole_pass(model, "reference", all, 12);
    std::vector<double> mean(whole.gradient.size(), 0);
    double loss = 0;
    for (std::ptrdiff_t worker = 0; worker < 4; ++worker) {
      const auto part = [&](const std::vector<float>& x) {
        const auto n = static_cast<std::ptrdiff_t>(x.size()) / 4;
        return std::vector<float>(x.begin() + worker * n, x.begin() + (worker + 1) * n);
      };
      const Result piece = whole_pass(model, "reference", {part(all.inputs), part(all.labels)}, 3);
      loss += piece.loss / 4;
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += piece.gradient[i] / 4;
    }
    EXPECT_NEAR(whole.loss, loss, 1e-6);
    EXPECT_LT(difference(whole.gradient, std::vector<float>(mean.begin(), mean.end())),
              1e-5 * norm(whole.gradient));
  }
}

TEST(Network, ThirtyStepsOnDigitsReduceTheLoss) {
  const Model model = make_model("lenet5");
  const auto backend = kernels::make_backend("reference");
  const auto data = make_digits({.train = 960, .test = 32});
  Network network(model, *backend, 32);
  std::vector<float> parameters = initial_parameters(model, 1), gradient(parameters.size()),
                     velocity(parameters.size());
  std::vector<float> losses;
  Batch batch;
  for (std::int64_t step = 0; step < 30; ++step) {
    std::vector<std::int64_t> indices(32);
    for (std::int64_t i = 0; i < 32; ++i) indices[static_cast<std::size_t>(i)] = step * 32 + i;
    data->fill(Split::train, indices, batch);
    network.load(batch);
    network.forward(0, network.tensors(), parameters, true, 0);
    losses.push_back(network.loss());
    network.backward(0, network.tensors(), parameters, gradient);
    backend->sgd_step({.learning_rate = .05, .momentum = .9}, gradient, velocity, parameters);
  }
  const auto mean = [&](std::size_t from) {
    return (losses[from] + losses[from + 1] + losses[from + 2]) / 3;
  };
  EXPECT_NEAR(losses.front(), std::log(10.0f), .3);
  EXPECT_LT(mean(27), mean(0) - .3f);
}

TEST(Network, EvaluationUsesRunningStatisticsAndNoDropout) {
  const Model model = make_model("resnet20-cifar");
  const auto backend = kernels::make_backend(kernels::fastest_cpu_backend());
  Network network(model, *backend, 3);
  const std::vector<float> parameters = initial_parameters(model, 1);
  std::vector<float> state(static_cast<std::size_t>(network.state_elements()));
  network.read_state(state);
  const std::vector<float> fresh = state;
  network.load(random_batch(model, 3, 1));
  network.forward(0, network.tensors(), parameters, false, 0);
  const float before = network.loss();
  network.read_state(state);
  EXPECT_EQ(state, fresh);
  network.forward(0, network.tensors(), parameters, true, 0);
  network.read_state(state);
  EXPECT_NE(state, fresh);
  network.forward(0, network.tensors(), parameters, false, 0);
  EXPECT_NE(network.loss(), before);
  network.write_state(fresh);
  network.forward(0, network.tensors(), parameters, false, 0);
  EXPECT_EQ(network.loss(), before);
}

TEST(Network, HiddenStateCarriesOverUntilForgotten) {
  const Model model = make_lstm_language_model(small_language_model(false));
  const auto backend = kernels::make_backend("reference");
  Network network(model, *backend, 2);
  const std::vector<float> parameters = initial_parameters(model, 1);
  const auto loss = [&] {
    network.forward(0, network.tensors(), parameters, true, 1);
    return network.loss();
  };
  network.load(random_batch(model, 2, 1));
  const float first = loss();
  EXPECT_NE(loss(), first);
  network.forget();
  EXPECT_EQ(loss(), first);
  EXPECT_EQ(network.rows(), 10);
}

TEST(Network, RefusalsNameTheOperation) {
  const auto backend = kernels::make_backend("reference");
  const auto message = [&](const Model& model, std::int64_t batch) -> std::string {
    try {
      Network network(model, *backend, batch);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  GraphBuilder attention("tiny-attention");
  std::size_t x = attention.input("x", {4, 6});
  x = attention.dense("q", x, {.features = 6});
  x = attention.add_operation("look", {x, x, x}, AttentionOp{.heads = 2});
  attention.softmax_loss("loss", x);
  EXPECT_THAT(message(attention.build(), 2), HasSubstr("operation 'look' cannot be executed"));

  GraphBuilder sizes("sizes-only");
  sizes.add_operation("w", {}, OpaqueOp{.elements = 5});
  EXPECT_THAT(message(sizes.build(), 2), HasSubstr("of 'w' only the size is known"));

  GraphBuilder loose("no-loss");
  loose.dense("fc", loose.input("x", {4}), {.features = 2});
  EXPECT_THAT(message(loose.build(), 2), HasSubstr("it has no loss"));

  GraphBuilder even("even-lrn");
  std::size_t y = even.conv2d("conv", even.input("x", {4, 3, 3}), {.channels = 4});
  y = even.lrn("norm", y, {.size = 4});
  even.softmax_loss("loss", even.dense("fc", even.flatten("f", y), {.features = 2}));
  EXPECT_THAT(message(even.build(), 2), HasSubstr("operation 'norm' cannot be executed: lrn"));

  EXPECT_THAT(message(make_model("bert-base"), 1), HasSubstr("cannot be trained: it has 3 inputs"));
  EXPECT_THAT(message(make_model("mlp"), 0), HasSubstr("must be 1 or more"));
}

TEST(Network, BatchOfAnotherSizeIsRefused) {
  const Model model = make_model("mlp");
  const auto backend = kernels::make_backend("reference");
  Network network(model, *backend, 4);
  try {
    network.load(random_batch(model, 3, 1));
    FAIL();
  } catch (const InputError& error) {
    EXPECT_STREQ(error.what(), "a batch of 4 samples needs 3136 input values, found 2352");
  }
}

TEST(Network, GradientArraysAreUsedAgain) {
  // Without reuse the gradients would need as much as the activations.
  const NetworkPlan plan = plan_network(make_model("resnet50"), 1);
  std::int64_t values = 0, gradients = 0;
  for (const kernels::Dims& dims : plan.values) values += kernels::elements(dims);
  for (const kernels::Dims& dims : plan.gradients) gradients += kernels::elements(dims);
  EXPECT_LT(gradients, values / 4);
}

// Every network of the zoo whose operations have layers can be planned; the others say why not.
TEST(Network, ZooIsExecutable) {
  std::vector<std::string> refused;
  for (const std::string& name : model_names()) {
    try {
      const NetworkPlan plan = plan_network(make_model(name), 2);
      EXPECT_EQ(plan.offsets.back(), make_model(name).parameters()) << name;
      EXPECT_EQ(plan.forward_end.back(), plan.steps.size()) << name;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("no layer executes the kind ")) << name;
      refused.push_back(name);
    }
  }
  // Those with attention, and those with squeeze and excitation.
  for (const std::string& name : refused)
    EXPECT_THAT(name, ::testing::ContainsRegex("bert|gpt2|llama|t5|vit|efficientnet"));
}

// Groups of layers that the small networks lack: joins, auxiliary heads, response norms,
// convolutions with bias before a norm.
TEST(Network, LargerNetworksTakeAStep) {
  for (const char* name : {"resnet18-cifar", "vgg16-cifar", "googlenet"}) {
    SCOPED_TRACE(name);
    const Model model = make_model(name);
    const Result result =
        whole_pass(model, kernels::fastest_cpu_backend(), random_batch(model, 2, 5), 2);
    const double heads = name == std::string("googlenet") ? 1.6 : 1;  // two more, weighted 0.3
    EXPECT_GT(result.loss, .5 * heads * std::log(static_cast<double>(model.classes())));
    EXPECT_LT(result.loss, 4 * heads * std::log(static_cast<double>(model.classes())));
    const double size = norm(result.gradient);
    EXPECT_TRUE(std::isfinite(size));
    std::size_t offset = 0;
    for (const ModelTensor& tensor : model.tensors()) {
      const auto n = static_cast<std::size_t>(tensor.elements());
      EXPECT_GT(norm(std::span(result.gradient).subspan(offset, n)), 0) << tensor.name;
      offset += n;
    }
  }
}

TEST(InitialParameters, SpreadsAreThoseOfEachKind) {
  const Model model = make_model("resnet18-cifar");
  const std::vector<float> all = initial_parameters(model, 7);
  ASSERT_EQ(static_cast<std::int64_t>(all.size()), model.parameters());
  const auto check = [&](const std::string& name, double bound) {
    std::size_t offset = 0;
    for (const ModelTensor& tensor : model.tensors()) {
      const auto n = static_cast<std::size_t>(tensor.elements());
      if (tensor.name == name) {
        double sum = 0, squares = 0, largest = 0;
        for (std::size_t i = offset; i < offset + n; ++i) {
          sum += all[i];
          squares += double(all[i]) * all[i];
          largest = std::max(largest, double(std::abs(all[i])));
        }
        const double deviation = bound / std::sqrt(3.0), root = std::sqrt(double(n));
        EXPECT_NEAR(sum / double(n), 0, 4 * deviation / root) << name;
        EXPECT_NEAR(std::sqrt(squares / double(n)), deviation, 2 * deviation / root) << name;
        EXPECT_LE(largest, bound * (1 + 1e-6)) << name;
        return;
      }
      offset += n;
    }
    ADD_FAILURE() << "no tensor " << name;
  };
  check("layer1.0.conv1.weight", std::sqrt(6.0 / (64 * 9)));
  check("layer4.1.conv2.weight", std::sqrt(6.0 / (512 * 9)));
  check("fc.weight", std::sqrt(1.0 / 512));
}

TEST(InitialParameters, DependOnSeedTensorAndElementAlone) {
  const Model small = make_lstm_language_model({.layers = 1, .hidden = 8, .vocabulary = 20});
  const Model large = make_lstm_language_model({.layers = 1, .hidden = 8, .vocabulary = 50});
  const std::vector<float> a = initial_parameters(small, 1), b = initial_parameters(large, 1);
  EXPECT_TRUE(std::equal(a.begin(), a.begin() + 20 * 8, b.begin()));
  EXPECT_NE(initial_parameters(small, 2), a);
  EXPECT_EQ(initial_parameters(small, 1), a);
  // Norms start as the identity.
  const Model resnet = make_model("resnet20-cifar");
  const std::vector<float> c = initial_parameters(resnet, 1);
  std::size_t offset = 0;
  for (const ModelTensor& tensor : resnet.tensors()) {
    if (tensor.name == "bn1.weight") {
      EXPECT_EQ(c[offset], 1);
    } else if (tensor.name == "bn1.bias") {
      EXPECT_EQ(c[offset], 0);
    }
    offset += static_cast<std::size_t>(tensor.elements());
  }
}

}  // namespace
}  // namespace paceline
