#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "base/error.hpp"
#include "models/graph.hpp"
#include "models/zoo.hpp"

namespace paceline {
namespace {

using ::testing::HasSubstr;

class Random {
 public:
  std::int64_t in(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  bool coin() { return in(0, 1) == 1; }

 private:
  std::mt19937 engine_{20240607};
};

/// The graph image -> conv("first") -> the operation under test, so that it has a data pass.
std::size_t after_convolution(GraphBuilder& g, std::int64_t channels, std::int64_t height,
                              std::int64_t width) {
  const std::size_t x = g.input("image", {1, height, width});
  return g.conv2d("first", x, {.channels = channels});
}

/// Positions of the windows by walking over them.
std::int64_t walk(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                  bool ceil_mode) {
  std::int64_t count = 0;
  for (std::int64_t start = -padding; ceil_mode ? start < size : start + kernel <= size + padding;
       start += stride) {
    ++count;
    if (start + kernel >= size + padding) break;
  }
  return count;
}

TEST(Costs, ConvolutionAgreesWithCountingItsTaps) {
  Random random;
  for (int trial = 0; trial < 200; ++trial) {
    const std::int64_t groups = random.in(1, 3);
    const std::int64_t in = groups * random.in(1, 4), out = groups * random.in(1, 4);
    const std::int64_t height = random.in(7, 20), width = random.in(7, 20);
    const Conv2dOp a{.channels = out,
                     .kernel = {random.in(1, 7), random.in(1, 7)},
                     .stride = {random.in(1, 3), random.in(1, 3)},
                     .padding = {random.in(0, 3), random.in(0, 3)},
                     .groups = groups,
                     .bias = random.coin()};
    GraphBuilder g("test");
    g.conv2d("conv", after_convolution(g, in, height, width), a);
    const Model model = g.build();
    const Operation& op = model.operations().back();

    const std::int64_t rows =
        walk(height, a.kernel.height, a.stride.height, a.padding.height, false);
    const std::int64_t columns =
        walk(width, a.kernel.width, a.stride.width, a.padding.width, false);
    ASSERT_EQ(op.output_shape, (std::vector<std::int64_t>{out, rows, columns}));
    double taps = 0;
    for (std::int64_t k = 0; k < out; ++k)
      for (std::int64_t position = 0; position < rows * columns; ++position)
        for (std::int64_t c = 0; c < in / groups; ++c)
          taps += static_cast<double>(a.kernel.height * a.kernel.width);
    const auto n = static_cast<double>(out * rows * columns),
               x = static_cast<double>(in * height * width);
    const double bias = a.bias ? n : 0;
    EXPECT_EQ(op.macs, taps);
    EXPECT_EQ(op.forward_flops, 2 * taps + bias);
    EXPECT_EQ(op.backward_data_flops, 2 * taps);
    EXPECT_EQ(op.backward_weight_flops, 2 * taps + bias);
    EXPECT_EQ(op.forward_bytes, 4 * (x + n));
    EXPECT_EQ(op.backward_weight_bytes, 4 * (x + n));
    EXPECT_EQ(op.backward_bytes, 8 * (x + n));
    EXPECT_EQ(op.parameter_elements(),
              out * in / groups * a.kernel.height * a.kernel.width + (a.bias ? out : 0));
    EXPECT_EQ(op.parameter_bytes, 4.0 * static_cast<double>(op.parameter_elements()));
  }
}

TEST(Costs, FirstOperationHasNoDataPass) {
  GraphBuilder g("test");
  after_convolution(g, 4, 8, 8);
  const Model model = g.build();
  EXPECT_EQ(model.operations()[1].backward_data_flops, 0);
  EXPECT_GT(model.operations()[1].backward_weight_flops, 0);
  EXPECT_EQ(model.operations()[1].backward_bytes, model.operations()[1].backward_weight_bytes);
  EXPECT_FALSE(model.operations()[0].needs_gradient);
}

TEST(Costs, PoolsCountTheirWindowsInBothRoundings) {
  Random random;
  for (int trial = 0; trial < 300; ++trial) {
    const std::int64_t channels = random.in(1, 4), height = random.in(5, 20),
                       width = random.in(5, 20);
    const std::int64_t kernel = random.in(2, 5);
    const MaxPoolOp a{.kernel = kernel,
                      .stride = random.in(1, 4),
                      .padding = random.in(0, kernel / 2),
                      .ceil_mode = random.coin()};
    GraphBuilder g("test");
    const std::size_t x = after_convolution(g, channels, height, width);
    g.max_pool("max", x, a);
    g.avg_pool(
        "avg", x,
        {.kernel = a.kernel, .stride = a.stride, .padding = a.padding, .ceil_mode = a.ceil_mode});
    const Model model = g.build();
    const Operation& max = model.operations()[2];
    const Operation& avg = model.operations()[3];
    const std::int64_t rows = walk(height, kernel, a.stride.height, a.padding.height, a.ceil_mode);
    const std::int64_t columns = walk(width, kernel, a.stride.width, a.padding.width, a.ceil_mode);
    ASSERT_EQ(max.output_shape, (std::vector<std::int64_t>{channels, rows, columns}))
        << height << "x" << width << " kernel " << kernel << " stride " << a.stride.height
        << " padding " << a.padding.height << (a.ceil_mode ? " ceil" : " floor");
    const auto n = static_cast<double>(channels * rows * columns);
    const auto in = static_cast<double>(channels * height * width);
    EXPECT_EQ(max.forward_flops, n * static_cast<double>(kernel * kernel));
    EXPECT_EQ(max.forward_bytes, 4 * (in + n));
    EXPECT_EQ(max.backward_bytes, 4 * (2 * in + n));
    EXPECT_EQ(avg.backward_bytes, 4 * (in + n));
    EXPECT_EQ(avg.backward_weight_flops, 0);
  }
}

TEST(Costs, DenseOnVectorsAndOnSequences) {
  Random random;
  for (int trial = 0; trial < 100; ++trial) {
    const std::int64_t steps = random.in(1, 9), in = random.in(1, 50), out = random.in(1, 50);
    GraphBuilder g("test");
    const std::size_t x = g.dense("first", g.input("x", {steps, 3}), {.features = in});
    g.dense("dense", x, {.features = out});
    const Model model = g.build();
    const Operation& op = model.operations().back();
    const auto macs = static_cast<double>(steps * in * out), n = static_cast<double>(steps * out);
    EXPECT_EQ(op.output_shape, (std::vector<std::int64_t>{steps, out}));
    EXPECT_EQ(op.forward_flops, 2 * macs + n);
    EXPECT_EQ(op.backward_data_flops + op.backward_weight_flops, 4 * macs + n);
    EXPECT_EQ(op.gradient_bytes, 4.0 * static_cast<double>(in * out + out));
  }
}

TEST(Costs, LstmAndAttention) {
  Random random;
  for (int trial = 0; trial < 50; ++trial) {
    const std::int64_t steps = random.in(2, 9), in = random.in(1, 20), hidden = 4 * random.in(1, 8);
    GraphBuilder g("test");
    std::size_t x = g.dense("first", g.input("x", {steps, 3}), {.features = in});
    x = g.add_operation("lstm", {x}, LstmOp{.hidden = hidden, .biases = 2});
    g.add_operation("attention", {x, x, x}, AttentionOp{.heads = 4});
    const Model model = g.build();
    const Operation& lstm = model.operations()[2];
    const Operation& attention = model.operations()[3];
    const auto t = static_cast<double>(steps), h = static_cast<double>(hidden),
               c = static_cast<double>(in);
    EXPECT_EQ(lstm.macs, t * 4 * h * (c + h));
    EXPECT_EQ(lstm.forward_flops, 8 * t * h * (c + h) + 17 * t * h);
    EXPECT_EQ(lstm.backward_weight_flops, 8 * t * h * (c + h) + 8 * t * h);
    EXPECT_EQ(lstm.parameter_elements(), 4 * hidden * (in + hidden + 2));
    EXPECT_EQ(lstm.parameter_bytes, 4 * (4 * h * c + t * 4 * h * h + 8 * h));
    // Q K^T and P V: two products of [T x C/heads x T] per head.
    EXPECT_EQ(attention.macs, 4 * 2 * t * t * (h / 4));
    EXPECT_EQ(attention.forward_flops, 2 * attention.macs + 5 * 4 * t * t);
    EXPECT_EQ(attention.backward_data_flops, 4 * attention.macs + 4 * 4 * t * t);
    // Its three inputs are one operation, whose three gradients are summed.
    EXPECT_EQ(lstm.backward_data_flops, 8 * t * h * (c + h) + 22 * t * h + 2 * t * h);
  }
}

TEST(Costs, ElementWiseOperations) {
  GraphBuilder g("test");
  const std::size_t x = after_convolution(g, 8, 6, 5);
  const double n = 8 * 6 * 5;
  const std::size_t bn = g.batch_norm("bn", x);
  const std::size_t relu = g.relu("relu", bn);
  const std::size_t dropout = g.dropout("dropout", relu);
  const std::size_t sum = g.add("add", {dropout, relu});
  const std::size_t joined = g.concat("concat", {sum, bn});
  const std::size_t flat = g.flatten("flatten", joined);
  const Model model = g.build();
  const auto& ops = model.operations();
  EXPECT_EQ(ops[bn].forward_flops, 8 * n);
  EXPECT_EQ(ops[bn].forward_bytes, 4 * 3 * n);
  EXPECT_EQ(ops[bn].backward_weight_flops, 5 * n);
  EXPECT_EQ(ops[bn].backward_data_flops, 5 * n + n) << "5 per element and one sum of two gradients";
  EXPECT_EQ(ops[relu].forward_bytes, 4 * 2 * n);
  EXPECT_EQ(ops[relu].backward_bytes, 4 * (3 + 3) * n) << "its own, and one sum of two gradients";
  EXPECT_EQ(ops[dropout].forward_bytes, 9 * n) << "a mask takes one byte";
  EXPECT_EQ(ops[sum].forward_flops, n);
  EXPECT_EQ(ops[sum].backward_bytes, 0);
  EXPECT_EQ(ops[joined].output_shape, (std::vector<std::int64_t>{16, 6, 5}));
  EXPECT_EQ(ops[joined].forward_bytes, 4 * 4 * n);
  EXPECT_EQ(ops[flat].forward_bytes + ops[flat].backward_bytes, 0);
}

TEST(Costs, KeptActivationsCountEachBufferOnce) {
  GraphBuilder g("test");
  std::size_t x =
      g.conv2d("conv", g.input("image", {3, 8, 8}), {.channels = 4, .kernel = 3, .padding = 1});
  x = g.flatten("flatten", g.relu("relu", g.batch_norm("bn", x)));
  g.softmax_loss("loss", g.dense("fc", x, {.features = 10}));
  const Model model = g.build();
  // Image (for conv), conv's output (for bn), ReLU's output (for itself and, as a view, for fc),
  // probabilities.
  EXPECT_EQ(model.activation_elements(), 3 * 64 + 4 * 64 + 4 * 64 + 10);
  const double parameters = static_cast<double>(model.parameters());
  EXPECT_EQ(training_memory_bytes(model, 16, 1),
            4 * (3 * parameters + 16 * model.activation_elements()));
  EXPECT_EQ(training_memory_bytes(model, 16, 2, 2),
            2 * (4 * parameters + 16 * model.activation_elements()));
  EXPECT_THROW(training_memory_bytes(model, 0, 1), InputError);
}

TEST(Costs, BackwardIsTwiceForwardWhereMatricesDominate) {
  for (const char* name : {"resnet50", "vgg16", "inception-v4", "bert-base", "lstm-ptb"}) {
    const Model model = make_model(name);
    EXPECT_NEAR(model.backward_flops() / model.forward_flops(), 2, 0.05) << name;
    EXPECT_NEAR(model.forward_flops() / model.forward_macs(), 2, 0.06) << name;
  }
}

struct Refusal {
  const char* what;
  void (*build)(GraphBuilder&);
  const char* message;
};

const Refusal kRefusals[] = {
    {"zero channels",
     [](GraphBuilder& g) {
       g.conv2d("c", g.input("x", {3, 8, 8}), {.channels = 0});
     },
     "operation 'c': channels must be 1 or more, found 0"},
    {"groups",
     [](GraphBuilder& g) {
       g.conv2d("c", g.input("x", {3, 8, 8}), {.channels = 4, .groups = 2});
     },
     "2 groups do not divide 3 input"},
    {"window",
     [](GraphBuilder& g) {
       g.conv2d("c", g.input("x", {3, 4, 4}), {.channels = 4, .kernel = 7});
     },
     "a window of 7 does not fit in 4"},
    {"stride",
     [](GraphBuilder& g) {
       g.max_pool("p", g.input("x", {3, 4, 4}), {.kernel = 2, .stride = 0});
     },
     "operation 'p': stride must be 1 or more"},
    {"pool padding",
     [](GraphBuilder& g) {
       g.max_pool("p", g.input("x", {3, 4, 4}), {.kernel = 2, .padding = 2});
     },
     "must not exceed half its kernel"},
    {"image", [](GraphBuilder& g) { g.conv2d("c", g.input("x", {8}), {.channels = 4}); },
     "needs an image [channels, height, width], but 'x' gives [8]"},
    {"add",
     [](GraphBuilder& g) {
       g.add("sum", {g.input("x", {8}), g.input("y", {9})});
     },
     "operation 'sum': adds unequal shapes: 'x' gives [8] and 'y' [9]"},
    {"concat",
     [](GraphBuilder& g) {
       g.concat("cat", {g.input("x", {2, 4, 4}), g.input("y", {2, 4, 5})});
     },
     "differ beyond the first dimension"},
    {"one addend", [](GraphBuilder& g) { g.add("sum", {g.input("x", {8})}); },
     "takes 2 or more input(s), found 1"},
    {"name twice", [](GraphBuilder& g) { g.relu("x", g.input("x", {8})); },
     "another operation has the same name"},
    {"dropout", [](GraphBuilder& g) { g.dropout("d", g.input("x", {8}), 1); },
     "must be in [0, 1), found 1"},
    {"heads",
     [](GraphBuilder& g) {
       const std::size_t x = g.input("x", {4, 10});
       g.add_operation("a", {x, x, x}, AttentionOp{.heads = 3});
     },
     "3 heads do not divide 10 features"},
    {"tokens",
     [](GraphBuilder& g) {
       g.add_operation("e", {g.input("x", {4}, 100)}, EmbeddingOp{50, 8});
     },
     "has 50 entries, but 'x' numbers its tokens up to 99"},
    {"dense on tokens",
     [](GraphBuilder& g) { g.dense("d", g.input("x", {4}, 100), {.features = 2}); },
     "'x' gives token numbers"},
    {"tie to nothing",
     [](GraphBuilder& g) { g.dense("d", g.input("x", {4}), {.features = 2, .tied_to = "e.w"}); },
     "unknown tensor to tie to 'e.w'"},
    {"tie to another shape",
     [](GraphBuilder& g) {
       const std::size_t x = g.dense("first", g.input("x", {4}), {.features = 3});
       g.dense("d", x, {.features = 5, .tied_to = "first.weight"});
     },
     "is tied to 'first.weight' of shape [3, 4], but needs [5, 3]"},
    {"after a loss", [](GraphBuilder& g) { g.relu("r", g.softmax_loss("l", g.input("x", {4}))); },
     "reads 'l', a loss"},
    {"batch-norm of a sequence",
     [](GraphBuilder& g) {
       g.batch_norm("b", g.input("x", {4, 8}));
     },
     "needs an image"},
    {"loose end",
     [](GraphBuilder& g) {
       const std::size_t x = g.input("x", {4});
       g.dense("fc", x, {.features = 3});
       g.softmax_loss("loss", x);
       g.build();
     },
     "operation 'fc': no operation reads it and it is no loss"},
    {"overflow",
     [](GraphBuilder& g) {
       g.input("x", {1'000'000, 1'000'000, 1'000'000});
     },
     "is too large"},
    {"empty", [](GraphBuilder& g) { g.build(); }, "has no operation"},
};

TEST(Costs, ImpossibleOperationsAreRefused) {
  for (const Refusal& refusal : kRefusals) {
    GraphBuilder g("test");
    try {
      refusal.build(g);
      ADD_FAILURE() << refusal.what << ": accepted";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(refusal.message)) << refusal.what;
    }
  }
}

TEST(Costs, OptionAShortcutHalvesAndPads) {
  GraphBuilder g("test");
  g.add_operation("s", {after_convolution(g, 16, 32, 31)}, SubsamplePadOp{32, 2});
  EXPECT_EQ(g.build().operations().back().output_shape, (std::vector<std::int64_t>{32, 16, 16}));
}

}  // namespace
}  // namespace paceline
