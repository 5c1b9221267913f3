#include "models/zoo/families.hpp"

namespace paceline::zoo {
namespace {

void classifier(GraphBuilder& g, std::size_t x) {
  x = g.dropout("classifier.0", g.flatten("flatten", x));
  x = g.relu("classifier.2", g.dense("classifier.1", x, {.features = 4096}));
  x = g.dropout("classifier.3", x);
  x = g.relu("classifier.5", g.dense("classifier.4", x, {.features = 4096}));
  g.softmax_loss("loss", g.dense("classifier.6", x, {.features = 1000}));
}

// Its adaptive pool to 6x6 is the identity at 224x224 and left out.
void torchvision_alexnet(GraphBuilder& g) {
  std::size_t x = g.input("image", {3, 224, 224});
  x = g.relu("features.1",
             g.conv2d("features.0", x, {.channels = 64, .kernel = 11, .stride = 4, .padding = 2}));
  x = g.max_pool("features.2", x, {.kernel = 3, .stride = 2});
  x = g.relu("features.4", g.conv2d("features.3", x, {.channels = 192, .kernel = 5, .padding = 2}));
  x = g.max_pool("features.5", x, {.kernel = 3, .stride = 2});
  x = g.relu("features.7", g.conv2d("features.6", x, {.channels = 384, .kernel = 3, .padding = 1}));
  x = g.relu("features.9", g.conv2d("features.8", x, {.channels = 256, .kernel = 3, .padding = 1}));
  x = g.relu("features.11",
             g.conv2d("features.10", x, {.channels = 256, .kernel = 3, .padding = 1}));
  classifier(g, g.max_pool("features.12", x, {.kernel = 3, .stride = 2}));
}

void caffe_alexnet(GraphBuilder& g) {
  std::size_t x = g.input("image", {3, 227, 227});
  x = g.relu("relu1", g.conv2d("conv1", x, {.channels = 96, .kernel = 11, .stride = 4}));
  x = g.max_pool("pool1", g.lrn("norm1", x), {.kernel = 3, .stride = 2, .ceil_mode = true});
  x = g.relu("relu2",
             g.conv2d("conv2", x, {.channels = 256, .kernel = 5, .padding = 2, .groups = 2}));
  x = g.max_pool("pool2", g.lrn("norm2", x), {.kernel = 3, .stride = 2, .ceil_mode = true});
  x = g.relu("relu3", g.conv2d("conv3", x, {.channels = 384, .kernel = 3, .padding = 1}));
  x = g.relu("relu4",
             g.conv2d("conv4", x, {.channels = 384, .kernel = 3, .padding = 1, .groups = 2}));
  x = g.relu("relu5",
             g.conv2d("conv5", x, {.channels = 256, .kernel = 3, .padding = 1, .groups = 2}));
  x = g.flatten("flatten", g.max_pool("pool5", x, {.kernel = 3, .stride = 2, .ceil_mode = true}));
  x = g.dropout("drop6", g.relu("relu6", g.dense("fc6", x, {.features = 4096})));
  x = g.dropout("drop7", g.relu("relu7", g.dense("fc7", x, {.features = 4096})));
  g.softmax_loss("loss", g.dense("fc8", x, {.features = 1000}));
}

}  // namespace

Entries alexnets() {
  return {
      {"alexnet", "AlexNet", "torchvision's single-column form, 224x224", {}, torchvision_alexnet},
      {"alexnet-caffe",
       "AlexNet (Caffe)",
       "two groups in conv2, conv4, conv5; LRN; 227x227",
       {},
       caffe_alexnet}};
}

}  // namespace paceline::zoo
