#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/backend.hpp"

// Whole training steps (forward, backward, SGD with momentum) on one core, and the selections that
// a sparsifying schedule calls. For steady figures: taskset -c 1, --benchmark_repetitions, and take
// the best.
namespace paceline::kernels {
namespace {

/// A network as the benchmark needs it: layers in forward order, each reading outputs of earlier
/// ones.
class Chain {
 public:
  Chain(Backend& backend, const Dims& input) : backend_(backend) {
    values_.push_back(backend.make_activation(input));
    gradients_.push_back(backend.make_activation(input));
  }

  /// Returns the index of the layer's output; 0 is the network's input.
  std::size_t add(LayerShape shape, std::vector<std::size_t> inputs) {
    const auto layer_parameters = parameter_dims(shape);
    Node node{backend_.make_layer(shape), std::move(inputs), parameters_, layer_parameters, {}};
    for (const Dims& dims : layer_parameters)
      parameters_ += static_cast<std::size_t>(elements(dims));
    node.state = initial_state(shape);
    nodes_.push_back(std::move(node));
    values_.push_back(backend_.make_activation(output_dims(shape)));
    gradients_.push_back(backend_.make_activation(output_dims(shape)));
    return nodes_.size();
  }
  std::size_t then(LayerShape shape) { return add(std::move(shape), {nodes_.size()}); }

  void loss(std::int64_t rows, std::int64_t classes) {
    labels_ = values_.size() + 1;
    add(SoftmaxLossShape{rows, classes}, {nodes_.size(), labels_});
    values_.push_back(backend_.make_activation({rows}));
    gradients_.push_back(backend_.make_activation({rows}));
    std::vector<float> host(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(i % 10);
    backend_.write(host, *values_[labels_]);
    backend_.write(std::vector<float>{1, 0}, *gradients_[nodes_.size()]);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.1f);
    weights_ = {backend_, parameters_};
    gradient_ = {backend_, parameters_};
    velocity_ = {backend_, parameters_};
    for (float& w : weights_.span()) w = normal(random);
    backend_.fill(0, velocity_);
    host.resize(static_cast<std::size_t>(elements(values_[0]->dims())));
    for (float& x : host) x = normal(random);
    backend_.write(host, *values_[0]);
  }

  void step() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) forward(nodes_[i], *values_[i + 1]);
    reached_.assign(values_.size(), false);
    for (std::size_t i = nodes_.size(); i-- > 0;) backward(i);
    backend_.sgd_step({.learning_rate = 1e-3, .momentum = 0.9, .weight_decay = 1e-4}, gradient_,
                      velocity_, weights_);
  }
  [[nodiscard]] std::size_t parameters() const { return parameters_; }

 private:
  struct Node {
    std::unique_ptr<Layer> layer;
    std::vector<std::size_t> inputs;
    std::size_t offset;
    std::vector<Dims> parameter_dims;
    std::vector<float> state;
  };

  template <class T>
  std::vector<T*> split(const Node& node, float* flat) const {
    std::vector<T*> pointers;
    flat += node.offset;
    for (const Dims& dims : node.parameter_dims) {
      pointers.push_back(flat);
      flat += elements(dims);
    }
    return pointers;
  }

  [[nodiscard]] std::vector<const Activation*> inputs_of(const Node& node) const {
    std::vector<const Activation*> inputs;
    for (std::size_t input : node.inputs) inputs.push_back(values_[input].get());
    return inputs;
  }

  void forward(Node& node, Activation& output) {
    node.layer->forward({.inputs = inputs_of(node),
                         .output = output,
                         .parameters = split<const float>(node, weights_.data()),
                         .state = node.state.data()});
  }

  // The first layer that delivers the gradient of an activation writes it; the others add to it.
  void backward(std::size_t i) {
    Node& node = nodes_[i];
    std::vector<std::pair<std::size_t, Activation*>> sums;
    std::vector<Activation*> wanted;
    for (std::size_t input : node.inputs) {
      if (input == 0 || input == labels_) {
        wanted.push_back(nullptr);
      } else if (!reached_[input]) {
        reached_[input] = true;
        wanted.push_back(gradients_[input].get());
      } else {
        auto& term = terms_[{i, input}];
        if (!term) term = backend_.make_activation(gradients_[input]->dims());
        wanted.push_back(term.get());
        sums.emplace_back(input, term.get());
      }
    }
    node.layer->backward({.inputs = inputs_of(node),
                          .output = *values_[i + 1],
                          .output_gradient = *gradients_[i + 1],
                          .parameters = split<const float>(node, weights_.data()),
                          .input_gradients = wanted,
                          .parameter_gradients = split<float>(node, gradient_.data())});
    for (const auto& [input, term] : sums) backend_.accumulate(*term, *gradients_[input]);
  }

  Backend& backend_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Activation>> values_, gradients_;
  std::vector<bool> reached_;
  std::map<std::pair<std::size_t, std::size_t>, std::unique_ptr<Activation>> terms_;
  std::size_t parameters_ = 0, labels_ = 0;
  Array<float> weights_, gradient_, velocity_;
};

/// He et al.'s ResNet-20 for CIFAR with option-A shortcuts: 269,722 parameters.
Chain resnet20(Backend& backend, std::int64_t batch) {
  ImageShape image{batch, 3, 32, 32};
  Chain chain(backend, image.dims());
  std::size_t block = chain.then(Conv2dShape{image, 16, square_window(3, 1, 1)});
  image.channels = 16;
  block = chain.then(BatchNormShape{.input = image, .relu = true});
  for (int stage = 0; stage < 3; ++stage)
    for (int i = 0; i < 3; ++i) {
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const Conv2dShape first{image, image.channels * stride, square_window(3, stride, 1)};
      const ImageShape inside = first.output();
      std::size_t shortcut = block;
      if (stride > 1) shortcut = chain.add(SubsamplePadShape{image, inside.channels}, {block});
      chain.add(first, {block});
      chain.then(BatchNormShape{.input = inside, .relu = true});
      chain.then(Conv2dShape{inside, inside.channels, square_window(3, 1, 1)});
      const std::size_t branch = chain.then(BatchNormShape{inside});
      block = chain.add(AddShape{inside.dims(), 2, true}, {branch, shortcut});
      image = inside;
    }
  chain.then(global_average(image));
  chain.then(DenseShape{batch, 64, 10});
  chain.loss(batch, 10);
  return chain;
}

/// LeCun et al.'s LeNet-5 with ReLU and max pooling: 61,706 parameters.
Chain lenet5(Backend& backend, std::int64_t batch) {
  Chain chain(backend, {batch, 1, 28, 28});
  chain.then(Conv2dShape{{batch, 1, 28, 28}, 6, square_window(5, 1, 2), 1, true});
  chain.then(PointwiseShape{{batch, 6, 28, 28}});
  chain.then(PoolShape{{batch, 6, 28, 28}, square_window(2, 2)});
  chain.then(Conv2dShape{{batch, 6, 14, 14}, 16, square_window(5), 1, true});
  chain.then(PointwiseShape{{batch, 16, 10, 10}});
  chain.then(PoolShape{{batch, 16, 10, 10}, square_window(2, 2)});
  chain.then(DenseShape{batch, 400, 120});
  chain.then(PointwiseShape{{batch, 120}});
  chain.then(DenseShape{batch, 120, 84});
  chain.then(PointwiseShape{{batch, 84}});
  chain.then(DenseShape{batch, 84, 10});
  chain.loss(batch, 10);
  return chain;
}

void train(benchmark::State& state, Chain (*network)(Backend&, std::int64_t)) {
  const auto backend = make_backend(fastest_cpu_backend());
  constexpr std::int64_t batch = 32;
  Chain chain = network(*backend, batch);
  chain.step();
  for (auto _ : state) chain.step();
  state.SetItemsProcessed(state.iterations() * batch);
  state.SetLabel(backend->description() + ", " + std::to_string(chain.parameters()) +
                 " parameters");
}
BENCHMARK_CAPTURE(train, resnet20_b32, resnet20)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(train, lenet5_b32, lenet5)->Unit(benchmark::kMillisecond);

std::vector<float> gaussian(std::size_t n) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> all(n);
  for (float& x : all) x = normal(random);
  return all;
}

constexpr std::size_t resnet50_size = 25'557'032;

void select_top_k(benchmark::State& state) {
  const auto x = gaussian(resnet50_size);
  const std::size_t k = x.size() / 1000;
  std::vector<std::int32_t> indices(k);
  std::vector<float> values(k);
  for (auto _ : state) reference::top_k(x, {indices, values});
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(4 * x.size()));
}
BENCHMARK(select_top_k)->Unit(benchmark::kMillisecond);

void find_gaussian_threshold(benchmark::State& state) {
  const auto x = gaussian(resnet50_size);
  for (auto _ : state) benchmark::DoNotOptimize(reference::gaussian_threshold(x, 25'557));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(4 * x.size()));
}
BENCHMARK(find_gaussian_threshold)->Unit(benchmark::kMillisecond);

void pointwise(benchmark::State& state, std::size_t index) {
  const auto backend = make_backend(fastest_cpu_backend());
  std::vector<std::vector<float>> own(5, gaussian(resnet50_size));
  const std::vector<std::span<float>> vectors(own.begin(), own.end());
  for (auto _ : state) reference::apply_example(*backend, index, vectors);
  const double bytes = kPointwiseInfo[index].least_bytes(resnet50_size);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

const bool kRegistered = [] {
  for (std::size_t i = 0; i < kPointwiseCount; ++i)
    benchmark::RegisterBenchmark(("pointwise/" + std::string(kPointwiseInfo[i].name)).c_str(),
                                 pointwise, i)
        ->Unit(benchmark::kMillisecond);
  return true;
}();

}  // namespace
}  // namespace paceline::kernels
