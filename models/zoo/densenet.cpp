#include <fmt/format.h>

#include "models/zoo/families.hpp"

// Huang et al. 2017 as in torchvision: bottleneck of 4*growth, transitions that halve the channels.
namespace paceline::zoo {
namespace {

struct DenseNet {
  std::int64_t growth;
  std::int64_t stem;
  std::vector<int> layers;
};

std::size_t norm_relu(GraphBuilder& g, const std::string& prefix, const std::string& number,
                      std::size_t x) {
  x = g.batch_norm(fmt::format("{}norm{}", prefix, number), x);
  return g.relu(fmt::format("{}relu{}", prefix, number), x);
}

/// Every layer reads the concatenation of all earlier outputs of its block.
std::size_t dense_block(GraphBuilder& g, const std::string& prefix, std::size_t x, int layers,
                        std::int64_t growth) {
  std::vector<std::size_t> outputs{x};
  for (int i = 1; i <= layers; ++i) {
    const std::string p = fmt::format("{}denselayer{}.", prefix, i);
    std::size_t y = outputs.size() == 1 ? x : g.concat(p + "concat", outputs);
    y = norm_relu(g, p, "1", y);
    y = g.conv2d(p + "conv1", y, {.channels = 4 * growth, .bias = false});
    y = norm_relu(g, p, "2", y);
    outputs.push_back(
        g.conv2d(p + "conv2", y, {.channels = growth, .kernel = 3, .padding = 1, .bias = false}));
  }
  return g.concat(prefix + "concat", outputs);
}

void fill(GraphBuilder& g, const DenseNet& net) {
  std::size_t x =
      g.conv2d("features.conv0", g.input("image", {3, 224, 224}),
               {.channels = net.stem, .kernel = 7, .stride = 2, .padding = 3, .bias = false});
  x = norm_relu(g, "features.", "0", x);
  x = g.max_pool("features.pool0", x, {.kernel = 3, .stride = 2, .padding = 1});
  for (std::size_t b = 1; b <= net.layers.size(); ++b) {
    x = dense_block(g, fmt::format("features.denseblock{}.", b), x, net.layers[b - 1], net.growth);
    if (b == net.layers.size()) break;
    const std::string p = fmt::format("features.transition{}.", b);
    x = norm_relu(g, p, "", x);
    x = g.conv2d(p + "conv", x, {.channels = g.operation(x).output_shape[0] / 2, .bias = false});
    x = g.avg_pool(p + "pool", x, {.kernel = 2, .stride = 2});
  }
  x = norm_relu(g, "features.", "5", x);
  x = g.dense("classifier", g.global_avg_pool("avgpool", x), {.features = 1000});
  g.softmax_loss("loss", x);
}

}  // namespace

Entries densenets() {
  return {
      {"densenet121",
       "DenseNet-121",
       "torchvision, growth 32, 224x224",
       {},
       [](GraphBuilder& g) {
         fill(g, {32, 64, {6, 12, 24, 16}});
       }},
      {"densenet161",
       "DenseNet-161",
       "torchvision, growth 48, 224x224",
       {},
       [](GraphBuilder& g) {
         fill(g, {48, 96, {6, 12, 36, 24}});
       }},
      {"densenet201", "DenseNet-201", "torchvision, growth 32, 224x224", {}, [](GraphBuilder& g) {
         fill(g, {32, 64, {6, 12, 48, 32}});
       }}};
}

}  // namespace paceline::zoo
