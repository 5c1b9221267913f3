#include "models/zoo/families.hpp"

namespace paceline::zoo {
namespace {

void mlp(GraphBuilder& g) {
  std::size_t x = g.flatten("flatten", g.input("image", {1, 28, 28}));
  x = g.relu("relu1", g.dense("fc1", x, {.features = 256}));
  x = g.relu("relu2", g.dense("fc2", x, {.features = 128}));
  g.softmax_loss("loss", g.dense("fc3", x, {.features = 10}));
}

// LeCun et al. 1998, with a plain linear output layer and full connections in conv2, as it is
// taught today.
void lenet5(GraphBuilder& g) {
  std::size_t x = g.input("image", {1, 28, 28});
  x = g.conv2d("conv1", x, {.channels = 6, .kernel = 5, .padding = 2});
  x = g.add_operation("tanh1", {x}, TanhOp{});
  x = g.avg_pool("pool1", x, {.kernel = 2, .stride = 2});
  x = g.conv2d("conv2", x, {.channels = 16, .kernel = 5});
  x = g.add_operation("tanh2", {x}, TanhOp{});
  x = g.avg_pool("pool2", x, {.kernel = 2, .stride = 2});
  x = g.dense("fc1", g.flatten("flatten", x), {.features = 120});
  x = g.add_operation("tanh3", {x}, TanhOp{});
  x = g.dense("fc2", x, {.features = 84});
  x = g.add_operation("tanh4", {x}, TanhOp{});
  g.softmax_loss("loss", g.dense("fc3", x, {.features = 10}));
}

void lenet_caffe(GraphBuilder& g) {
  std::size_t x = g.input("image", {1, 28, 28});
  x = g.conv2d("conv1", x, {.channels = 20, .kernel = 5});
  x = g.max_pool("pool1", x, {.kernel = 2, .stride = 2});
  x = g.conv2d("conv2", x, {.channels = 50, .kernel = 5});
  x = g.max_pool("pool2", x, {.kernel = 2, .stride = 2});
  x = g.relu("relu1", g.dense("ip1", g.flatten("flatten", x), {.features = 500}));
  g.softmax_loss("loss", g.dense("ip2", x, {.features = 10}));
}

}  // namespace

Entries small_networks() {
  return {{"mlp", "MLP 784-256-128-10", "MNIST-sized, ReLU", {}, mlp},
          {"lenet5",
           "LeNet-5 (classic)",
           "28x28 padded by 2; tanh and average pools; 61,706 parameters",
           {},
           lenet5},
          {"lenet-caffe",
           "LeNet (Caffe)",
           "Caffe's MNIST example; max pools; 431,080 parameters",
           {},
           lenet_caffe}};
}

}  // namespace paceline::zoo
