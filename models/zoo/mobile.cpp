#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/zoo/families.hpp"

// Small networks for images, as torchvision has them: MobileNetV2 (Sandler et al. 2018),
// EfficientNet (Tan and Le 2019), SqueezeNet (Iandola et al. 2016).
namespace paceline::zoo {
namespace {

/// Inverted residuals: `repeats` blocks of `channels`, the first with `stride`; `expand` times as
/// many channels inside.
struct MobileStage {
  std::int64_t expand, channels;
  int repeats;
  std::int64_t stride, kernel;
};

enum class MobileActivation { relu6, silu };

struct MobileNetwork {
  GraphBuilder& g;
  MobileActivation activation;
  double epsilon;

  std::size_t activate(const std::string& name, std::size_t x) {
    return activation == MobileActivation::silu ? g.add_operation(name, {x}, SiluOp{})
                                                : g.relu(name, x);
  }

  std::size_t conv_bn(const std::string& p, std::size_t x, Conv2dOp op) {
    op.bias = false;
    op.padding = Extent((op.kernel.height - 1) / 2);
    return g.batch_norm(p + "1", g.conv2d(p + "0", x, op), {.epsilon = epsilon});
  }

  std::size_t squeeze_excite(const std::string& p, std::size_t x, std::int64_t squeezed) {
    const std::int64_t channels = g.operation(x).output_shape[0];
    std::size_t y = g.global_avg_pool(p + "avgpool", x);
    y = activate(p + "activation", g.dense(p + "fc1", y, {.features = squeezed}));
    y = g.dense(p + "fc2", y, {.features = channels});
    y = g.add_operation(p + "scale_activation", {y}, SigmoidOp{});
    return g.add_operation(p + "scale", {x, y}, MultiplyOp{});
  }

  std::size_t block(const std::string& p, std::size_t x, const MobileStage& stage,
                    std::int64_t stride) {
    const std::int64_t in = g.operation(x).output_shape[0], inside = in * stage.expand;
    std::size_t y = x;
    int part = 0;
    const auto next = [&] { return fmt::format("{}{}.", p, part++); };
    if (stage.expand > 1) {
      const std::string name = next();
      y = activate(name + "2", conv_bn(name, y, {.channels = inside}));
    }
    const std::string depthwise = next();
    y = conv_bn(depthwise, y,
                {.channels = inside, .kernel = stage.kernel, .stride = stride, .groups = inside});
    y = activate(depthwise + "2", y);
    if (activation == MobileActivation::silu)
      y = squeeze_excite(next(), y, std::max<std::int64_t>(1, in / 4));
    y = conv_bn(next(), y, {.channels = stage.channels});
    if (stride > 1 || in != stage.channels) return y;
    return g.add(p + "add", {x, y});
  }

  void operator()(std::int64_t image, std::int64_t stem, const std::vector<MobileStage>& stages,
                  std::int64_t last, double dropout) {
    std::size_t x = g.input("image", {3, image, image});
    x = activate("features.0.2",
                 conv_bn("features.0.", x, {.channels = stem, .kernel = 3, .stride = 2}));
    int index = 1;
    for (const MobileStage& stage : stages)
      for (int i = 0; i < stage.repeats; ++i)
        x = block(fmt::format("features.{}.", index++), x, stage, i == 0 ? stage.stride : 1);
    const std::string p = fmt::format("features.{}.", index);
    x = activate(p + "2", conv_bn(p, x, {.channels = last}));
    x = g.dropout("classifier.0", g.global_avg_pool("avgpool", x), dropout);
    g.softmax_loss("loss", g.dense("classifier.1", x, {.features = 1000}));
  }
};

// Channels times `width`, as a multiple of 8 and not a tenth less; repeats times `depth`, rounded up.
std::int64_t widened(std::int64_t channels, double width) {
  const double wanted = static_cast<double>(channels) * width;
  auto rounded = std::max<std::int64_t>(8, static_cast<std::int64_t>(wanted + 4) / 8 * 8);
  if (static_cast<double>(rounded) < 0.9 * wanted) rounded += 8;
  return rounded;
}

void efficient_net(GraphBuilder& g, double width, double depth, std::int64_t image,
                   double dropout) {
  std::vector<MobileStage> stages{{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3},  {6, 40, 2, 2, 5},
                                  {6, 80, 3, 2, 3}, {6, 112, 3, 1, 5}, {6, 192, 4, 2, 5},
                                  {6, 320, 1, 1, 3}};
  for (MobileStage& stage : stages) {
    stage.channels = widened(stage.channels, width);
    stage.repeats = static_cast<int>(std::ceil(stage.repeats * depth));
  }
  MobileNetwork{g, MobileActivation::silu, 1e-5}(image, widened(32, width), stages,
                                                 4 * stages.back().channels, dropout);
}

Entry efficient_net_entry(int number, double width, double depth, std::int64_t image,
                          double dropout) {
  return {.name = fmt::format("efficientnet-b{}", number),
          .title = fmt::format("EfficientNet-B{}", number),
          .notes = fmt::format("torchvision, {}x{}", image, image),
          .aliases = {},
          .fill_with =
              [=](GraphBuilder& g, const Options& options) {
                efficient_net(g, width, depth, options.get("image", image), dropout);
              },
          .options = {"image"}};
}

std::size_t fire(GraphBuilder& g, const std::string& p, std::size_t x, std::int64_t squeeze,
                 std::int64_t expand) {
  const auto relu_conv = [&](const std::string& name, std::size_t from, Conv2dOp op) {
    return g.relu(p + name + "_activation", g.conv2d(p + name, from, op));
  };
  x = relu_conv("squeeze", x, {.channels = squeeze});
  const std::size_t one = relu_conv("expand1x1", x, {.channels = expand});
  const std::size_t three =
      relu_conv("expand3x3", x, {.channels = expand, .kernel = 3, .padding = 1});
  return g.concat(p + "concat", {one, three});
}

void squeeze_net(GraphBuilder& g, bool newer, std::int64_t image) {
  std::size_t x = g.input("image", {3, image, image});
  x = g.conv2d("features.0", x,
               {.channels = newer ? 64 : 96, .kernel = newer ? 3 : 7, .stride = 2});
  x = g.relu("features.1", x);
  int at = 2;
  const auto pool = [&] {
    x = g.max_pool(fmt::format("features.{}", at++), x,
                   {.kernel = 3, .stride = 2, .ceil_mode = true});
  };
  const std::int64_t squeezes[] = {16, 16, 32, 32, 48, 48, 64, 64};
  pool();
  for (int i = 0; i < 8; ++i) {
    x = fire(g, fmt::format("features.{}.", at++), x, squeezes[i], 4 * squeezes[i]);
    if (newer ? i == 1 || i == 3 : i == 2 || i == 6) pool();
  }
  x = g.dropout("classifier.0", x);
  x = g.relu("classifier.2", g.conv2d("classifier.1", x, {.channels = 1000}));
  g.softmax_loss("loss", g.global_avg_pool("classifier.3", x));
}

Entry squeeze_net_entry(const char* name, const char* title, bool newer) {
  return {.name = name,
          .title = title,
          .notes = "torchvision, 224x224",
          .aliases = {},
          .fill_with =
              [newer](GraphBuilder& g, const Options& options) {
                squeeze_net(g, newer, options.get("image", 224));
              },
          .options = {"image"}};
}

}  // namespace

Entries mobile_networks() {
  Entries entries{{.name = "mobilenet-v2",
                   .title = "MobileNetV2",
                   .notes = "torchvision, 224x224",
                   .aliases = {},
                   .fill_with =
                       [](GraphBuilder& g, const Options& options) {
                         const std::vector<MobileStage> stages{{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3},
                                                               {6, 32, 3, 2, 3}, {6, 64, 4, 2, 3},
                                                               {6, 96, 3, 1, 3}, {6, 160, 3, 2, 3},
                                                               {6, 320, 1, 1, 3}};
                         MobileNetwork{g, MobileActivation::relu6, 1e-5}(options.get("image", 224),
                                                                         32, stages, 1280, 0.2);
                       },
                   .options = {"image"}},
                  squeeze_net_entry("squeezenet1-0", "SqueezeNet 1.0", false),
                  squeeze_net_entry("squeezenet1-1", "SqueezeNet 1.1", true)};
  entries.push_back(efficient_net_entry(0, 1.0, 1.0, 224, 0.2));
  entries.push_back(efficient_net_entry(1, 1.0, 1.1, 240, 0.2));
  entries.push_back(efficient_net_entry(2, 1.1, 1.2, 288, 0.3));
  entries.push_back(efficient_net_entry(3, 1.2, 1.4, 300, 0.3));
  entries.push_back(efficient_net_entry(4, 1.4, 1.8, 380, 0.4));
  return entries;
}

}  // namespace paceline::zoo
