#include <fmt/format.h>

#include "models/zoo/families.hpp"

// He et al. 2016 in the form of torchvision ("v1.5": the stride of a bottleneck is in its 3x3
// convolution), and the CIFAR forms of the same paper, section 4.2.
namespace paceline::zoo {
namespace {

enum class Shortcut { conv_bn, conv, pad };

struct Stage {
  std::int64_t width;
  int blocks;
  std::int64_t stride;
};

std::size_t conv_bn(GraphBuilder& g, const std::string& prefix, const std::string& number,
                    std::size_t x, Conv2dOp attributes) {
  attributes.bias = false;
  x = g.conv2d(fmt::format("{}conv{}", prefix, number), x, attributes);
  return g.batch_norm(fmt::format("{}bn{}", prefix, number), x);
}

std::size_t shortcut(GraphBuilder& g, const std::string& prefix, std::size_t x,
                     std::int64_t channels, std::int64_t stride, Shortcut kind) {
  if (stride == 1 && g.operation(x).output_shape[0] == channels) return x;
  if (kind == Shortcut::pad)
    return g.add_operation(prefix + "downsample", {x},
                           SubsamplePadOp{.channels = channels, .stride = stride});
  const std::size_t y =
      g.conv2d(prefix + "downsample.0", x, {.channels = channels, .stride = stride, .bias = false});
  return kind == Shortcut::conv ? y : g.batch_norm(prefix + "downsample.1", y);
}

/// Of a bottleneck's 3x3 convolution: groups, and channels over those of ResNet.
struct Inside {
  std::int64_t groups = 1, widening = 1;
};

std::size_t block(GraphBuilder& g, const std::string& prefix, std::size_t x, std::int64_t width,
                  std::int64_t stride, bool bottleneck, Shortcut kind, Inside inside) {
  const std::int64_t channels = bottleneck ? 4 * width : width;
  width *= inside.widening;
  std::size_t y = x;
  if (bottleneck) {
    y = g.relu(prefix + "relu1", conv_bn(g, prefix, "1", y, {.channels = width}));
    y = conv_bn(
        g, prefix, "2", y,
        {.channels = width, .kernel = 3, .stride = stride, .padding = 1, .groups = inside.groups});
    y = conv_bn(g, prefix, "3", g.relu(prefix + "relu2", y), {.channels = channels});
  } else {
    y = conv_bn(g, prefix, "1", y,
                {.channels = width, .kernel = 3, .stride = stride, .padding = 1});
    y = conv_bn(g, prefix, "2", g.relu(prefix + "relu1", y),
                {.channels = width, .kernel = 3, .padding = 1});
  }
  const std::size_t identity = shortcut(g, prefix, x, channels, stride, kind);
  return g.relu(prefix + "relu", g.add(prefix + "add", {y, identity}));
}

void body(GraphBuilder& g, std::size_t x, const std::vector<Stage>& stages, bool bottleneck,
          Shortcut kind, std::int64_t classes, Inside inside = {}) {
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (int i = 0; i < stages[s].blocks; ++i)
      x = block(g, fmt::format("layer{}.{}.", s + 1, i), x, stages[s].width,
                i == 0 ? stages[s].stride : 1, bottleneck, kind, inside);
  x = g.dense("fc", g.global_avg_pool("avgpool", x), {.features = classes});
  g.softmax_loss("loss", x);
}

void imagenet(GraphBuilder& g, bool bottleneck, const std::vector<int>& blocks, Inside inside,
              std::int64_t image) {
  std::size_t x = g.input("image", {3, image, image});
  x = g.relu("relu",
             conv_bn(g, "", "1", x, {.channels = 64, .kernel = 7, .stride = 2, .padding = 3}));
  x = g.max_pool("maxpool", x, {.kernel = 3, .stride = 2, .padding = 1});
  body(g, x, {{64, blocks[0], 1}, {128, blocks[1], 2}, {256, blocks[2], 2}, {512, blocks[3], 2}},
       bottleneck, Shortcut::conv_bn, 1000, inside);
}

void cifar(GraphBuilder& g, std::int64_t stem, const std::vector<Stage>& stages, Shortcut kind) {
  const std::size_t x = g.input("image", {3, 32, 32});
  body(g, g.relu("relu", conv_bn(g, "", "1", x, {.channels = stem, .kernel = 3, .padding = 1})),
       stages, false, kind, 10);
}

Entry imagenet_entry(std::string name, std::string title, bool bottleneck,
                     const std::vector<int>& blocks, Inside inside = {}) {
  return {.name = std::move(name),
          .title = std::move(title),
          .notes = bottleneck ? "torchvision v1.5, 224x224" : "torchvision, 224x224",
          .aliases = {},
          .fill_with =
              [bottleneck, blocks, inside](GraphBuilder& g, const Options& options) {
                imagenet(g, bottleneck, blocks, inside, options.get("image", 224));
              },
          .options = {"image"}};
}

Entry imagenet_entry(int depth, bool bottleneck, const std::vector<int>& blocks) {
  return imagenet_entry(fmt::format("resnet{}", depth), fmt::format("ResNet-{}", depth), bottleneck,
                        blocks);
}

Entry resnet20_entry(const char* suffix, const char* notes, std::vector<std::string> aliases,
                     Shortcut kind) {
  return {fmt::format("resnet20-cifar{}", suffix), "ResNet-20 (CIFAR-10)", notes,
          std::move(aliases), [kind](GraphBuilder& g) {
            cifar(g, 16, {{16, 3, 1}, {32, 3, 2}, {64, 3, 2}}, kind);
          }};
}

}  // namespace

Entries resnets() {
  return {imagenet_entry(18, false, {2, 2, 2, 2}),
          imagenet_entry(34, false, {3, 4, 6, 3}),
          imagenet_entry(50, true, {3, 4, 6, 3}),
          imagenet_entry(101, true, {3, 4, 23, 3}),
          imagenet_entry(152, true, {3, 8, 36, 3}),
          imagenet_entry("resnext50-32x4d", "ResNeXt-50 32x4d", true, {3, 4, 6, 3}, {32, 2}),
          imagenet_entry("resnext101-32x4d", "ResNeXt-101 32x4d", true, {3, 4, 23, 3}, {32, 2}),
          imagenet_entry("resnext101-32x8d", "ResNeXt-101 32x8d", true, {3, 4, 23, 3}, {32, 4}),
          imagenet_entry("wide-resnet50-2", "Wide ResNet-50-2", true, {3, 4, 6, 3}, {1, 2}),
          imagenet_entry("wide-resnet101-2", "Wide ResNet-101-2", true, {3, 4, 23, 3}, {1, 2})};
}

Entries cifar_resnets() {
  return {{"resnet18-cifar",
           "ResNet-18 (CIFAR-10)",
           "3x3 stem, no max pool, shortcuts by convolution and batch-norm",
           {},
           [](GraphBuilder& g) {
             cifar(g, 64, {{64, 2, 1}, {128, 2, 2}, {256, 2, 2}, {512, 2, 2}}, Shortcut::conv_bn);
           }},
          resnet20_entry("", "shortcuts without parameters (option A); 269,722 parameters",
                         {"resnet20"}, Shortcut::pad),
          resnet20_entry("-conv-bn", "shortcuts by convolution and batch-norm; 272,474 parameters",
                         {}, Shortcut::conv_bn),
          resnet20_entry("-conv", "shortcuts by convolution without batch-norm; 272,282 parameters",
                         {}, Shortcut::conv)};
}

}  // namespace paceline::zoo
