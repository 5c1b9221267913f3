#include <benchmark/benchmark.h>

#include <numeric>

#include "models/data/catalog.hpp"
#include "models/data/feed.hpp"
#include "models/network/network.hpp"
#include "models/zoo.hpp"

// Whole training steps of one worker on the fastest CPU backend: next batch, forward, backward and
// SGD with momentum.
namespace paceline {
namespace {

class Trainer {
 public:
  Trainer(const Model& model, const Dataset& data, std::int64_t batch)
      : backend_(kernels::make_backend(kernels::fastest_cpu_backend())),
        network_(model, *backend_, batch),
        feed_(Feed::in_order(data, Split::train, batch)),
        weights_(*backend_, elements()),
        gradient_(*backend_, elements()),
        velocity_(*backend_, elements()) {
    check_fits(model, data);
    const std::vector<float> start = initial_parameters(model, 1);
    backend_->copy_from_host(weights_.data(), start.data(), start.size() * sizeof(float));
    backend_->fill(0, velocity_);
  }

  void step() {
    feed_.fill(step_, batch_);
    network_.load(batch_);
    network_.forward(0, network_.tensors(), weights_, true, static_cast<std::uint64_t>(step_));
    network_.backward(0, network_.tensors(), weights_, gradient_);
    backend_->sgd_step({.learning_rate = .01, .momentum = .9}, gradient_, velocity_, weights_);
    ++step_;
  }
  [[nodiscard]] float loss() const { return network_.loss(); }
  [[nodiscard]] const Network& network() const { return network_; }

 private:
  [[nodiscard]] std::size_t elements() const {
    return static_cast<std::size_t>(network_.parameters());
  }
  std::unique_ptr<kernels::Backend> backend_;
  Network network_;
  Feed feed_;
  kernels::Array<float> weights_, gradient_, velocity_;
  Batch batch_;
  std::int64_t step_ = 0;
};

void train(benchmark::State& state, const Model& model, const char* data_name) {
  const std::int64_t batch = state.range(0);
  const bool text = model.time_steps() > 1;
  const auto data = open_dataset({.name = data_name,
                                  .train = batch * 8 * (text ? model.time_steps() + 1 : 1),
                                  .test = 100,
                                  .steps = model.time_steps()});
  Trainer trainer(model, *data, batch);
  for (std::int64_t i = 0; i < 8; ++i) trainer.step();  // draws all images
  for (auto _ : state) trainer.step();
  benchmark::DoNotOptimize(trainer.loss());
  state.SetItemsProcessed(state.iterations() * batch);
  state.counters["activation MB"] = static_cast<double>(trainer.network().memory_bytes()) / 1e6;
}

BENCHMARK_CAPTURE(train, mlp, make_model("mlp"), "digits")->Arg(32);
BENCHMARK_CAPTURE(train, lenet5, make_model("lenet5"), "digits")->Arg(8)->Arg(32);
BENCHMARK_CAPTURE(train, resnet20, make_model("resnet20-cifar"), "textures")->Arg(8)->Arg(32);
BENCHMARK_CAPTURE(train, resnet18, make_model("resnet18-cifar"), "textures")->Arg(8);
BENCHMARK_CAPTURE(train, vgg16, make_model("vgg16-cifar"), "textures")->Arg(8);
BENCHMARK_CAPTURE(train, lstm_2x200,
                  make_lstm_language_model({.hidden = 200, .vocabulary = 1000, .time_steps = 20}),
                  "grammar")
    ->Arg(20);

void draw(benchmark::State& state, const char* name) {
  const auto data = open_dataset({.name = name, .train = 1 << 20, .test = 1});
  Batch batch;
  std::int64_t i = 0;
  for (auto _ : state) data->fill(Split::train, std::vector<std::int64_t>{i++}, batch);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(draw, digits, "digits");
BENCHMARK_CAPTURE(draw, textures, "textures");

}  // namespace
}  // namespace paceline
