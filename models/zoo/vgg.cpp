#include <fmt/format.h>

#include "models/zoo/families.hpp"

namespace paceline::zoo {
namespace {

struct ConvStyle {
  bool batch_norm;
  bool bias;
};

/// 3x3 convolutions, `repeats[i]` of them at the i-th resolution, each stage followed by a 2x2 max
/// pool. Layers are numbered as in torchvision's `features`.
std::size_t features(GraphBuilder& g, std::size_t x, const std::vector<int>& repeats,
                     ConvStyle style) {
  constexpr std::int64_t channels[] = {64, 128, 256, 512, 512};
  int layer = 0;
  const auto next = [&layer] { return fmt::format("features.{}", layer++); };
  for (std::size_t stage = 0; stage < repeats.size(); ++stage) {
    for (int i = 0; i < repeats[stage]; ++i) {
      x = g.conv2d(next(), x,
                   {.channels = channels[stage], .kernel = 3, .padding = 1, .bias = style.bias});
      if (style.batch_norm) x = g.batch_norm(next(), x);
      x = g.relu(next(), x);
    }
    x = g.max_pool(next(), x, {.kernel = 2, .stride = 2});
  }
  return g.flatten("flatten", x);
}

void imagenet(GraphBuilder& g, const std::vector<int>& repeats) {
  std::size_t x =
      features(g, g.input("image", {3, 224, 224}), repeats, {.batch_norm = false, .bias = true});
  x = g.relu("classifier.1", g.dense("classifier.0", x, {.features = 4096}));
  x = g.dropout("classifier.2", x);
  x = g.relu("classifier.4", g.dense("classifier.3", x, {.features = 4096}));
  x = g.dropout("classifier.5", x);
  g.softmax_loss("loss", g.dense("classifier.6", x, {.features = 1000}));
}

void cifar(GraphBuilder& g, ConvStyle style) {
  const std::size_t x = features(g, g.input("image", {3, 32, 32}), {2, 2, 3, 3, 3}, style);
  g.softmax_loss("loss", g.dense("classifier", x, {.features = 10}));
}

}  // namespace

Entries vggs() {
  return {{"vgg16",
           "VGG-16",
           "torchvision, no batch-norm, 224x224",
           {},
           [](GraphBuilder& g) {
             imagenet(g, {2, 2, 3, 3, 3});
           }},
          {"vgg19",
           "VGG-19",
           "torchvision, no batch-norm, 224x224",
           {},
           [](GraphBuilder& g) {
             imagenet(g, {2, 2, 4, 4, 4});
           }},
          {"vgg16-cifar",
           "VGG-16 (CIFAR-10)",
           "batch-norm after convolutions with bias, one linear layer; 14,728,266 parameters",
           {},
           [](GraphBuilder& g) { cifar(g, {.batch_norm = true, .bias = true}); }},
          {"vgg16-cifar-no-conv-bias",
           "VGG-16 (CIFAR-10, no convolution bias)",
           "batch-norm after convolutions without bias, one linear layer; 14,724,042 parameters",
           {},
           [](GraphBuilder& g) { cifar(g, {.batch_norm = true, .bias = false}); }},
          {"vgg16-cifar-no-bn",
           "VGG-16 (CIFAR-10, no batch-norm)",
           "convolutions with bias, one linear layer; 14,719,818 parameters",
           {},
           [](GraphBuilder& g) { cifar(g, {.batch_norm = false, .bias = true}); }}};
}

}  // namespace paceline::zoo
