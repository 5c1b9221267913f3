#include "sim/values/network_engine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/backend.hpp"
#include "models/data/catalog.hpp"
#include "models/data/feed.hpp"
#include "models/network/network.hpp"
#include "sim/values/step_times.hpp"

namespace paceline {
namespace {

FeedOptions feed_options(const TrainingOptions& options, std::size_t rank) {
  FeedOptions feed;
  feed.batch = options.batch;
  feed.augment = options.augment;
  feed.seed = options.seed;
  feed.worker = static_cast<std::int64_t>(rank);
  return feed;
}

class NetworkWorker final : public WorkerEngine {
 public:
  NetworkWorker(const Model& model, const Dataset& data, std::vector<std::int64_t> samples,
                const TrainingOptions& options, std::size_t rank)
      : options_(options),
        rank_(rank),
        backend_(kernels::make_backend(options.backend)),
        network_(model, *backend_, options.batch),
        feed_(data, std::move(samples), feed_options(options, rank)),
        times_(rank) {}

  void load(std::int64_t step, std::int64_t micro) override {
    if (micro == 0) times_.loading(step);
    feed_.fill(step * options_.micro_batches + micro, batch_);
    network_.load(batch_);
  }
  void forward(std::uint32_t from, std::uint32_t to, std::span<const float> parameters,
               std::int64_t step) override {
    // Dropout masks differ by worker and step.
    const std::uint64_t seed = options_.seed * 0x9e3779b97f4a7c15ULL +
                               static_cast<std::uint64_t>(step) * 1'000'003 + rank_;
    network_.forward(from, to, parameters, true, seed);
  }
  void backward(std::uint32_t from, std::uint32_t to, std::span<const float> parameters,
                std::span<float> gradient) override {
    network_.backward(from, to, parameters, gradient);
  }
  [[nodiscard]] float loss() const override { return network_.loss(); }
  [[nodiscard]] std::int64_t state_elements() const override { return network_.state_elements(); }
  void read_state(std::span<float> state) const override { network_.read_state(state); }
  void write_state(std::span<const float> state) override { network_.write_state(state); }
  [[nodiscard]] kernels::Backend& backend() override { return *backend_; }

 private:
  TrainingOptions options_;
  std::size_t rank_;
  std::unique_ptr<kernels::Backend> backend_;
  Network network_;
  Feed feed_;
  Batch batch_;
  StepTimes times_;
};

class NetworkEngine final : public ValueEngine {
 public:
  NetworkEngine(const Model& model, std::shared_ptr<const Dataset> data, TrainingOptions options)
      : model_(model), data_(std::move(data)), options_(std::move(options)) {
    if (options_.backend.empty()) options_.backend = kernels::fastest_cpu_backend();
    check_fits(model_, *data_);
    shards_ = deal_samples(*data_, options_.sharding, static_cast<std::int64_t>(options_.workers));
    sgd_.momentum = options_.momentum;
    sgd_.nesterov = options_.nesterov;
    sgd_.weight_decay = options_.weight_decay;
    const std::int64_t samples = std::min(options_.evaluation_samples, data_->size(Split::test));
    evaluation_batch_ = std::min<std::int64_t>(samples, 100);
    evaluation_batches_ = samples / evaluation_batch_;
  }

  [[nodiscard]] std::unique_ptr<WorkerEngine> make_worker(std::size_t rank) override {
    return std::make_unique<NetworkWorker>(model_, *data_, shards_[rank], options_, rank);
  }
  [[nodiscard]] std::vector<float> initial_parameters() const override {
    return paceline::initial_parameters(model_, options_.seed);
  }

  Evaluation evaluate(std::span<const float> parameters, std::span<const float> state) override {
    if (!evaluator_) {
      backend_ = kernels::make_backend(options_.backend);
      evaluator_ = std::make_unique<Network>(model_, *backend_, evaluation_batch_);
      if (!backend_->on_host()) weights_ = kernels::Array<float>(*backend_, parameters.size());
    }
    if (data_->sequential())
      evaluator_->forget();  // hidden states depend on the batch: they start afresh
    else
      evaluator_->write_state(state);
    Feed feed = Feed::in_order(*data_, Split::test, evaluation_batch_);
    std::span<const float> weights = parameters;
    if (!backend_->on_host()) {
      backend_->copy_from_host(weights_.data(), parameters.data(), parameters.size_bytes());
      weights = weights_;
    }
    Evaluation result;
    double rows = 0;
    for (std::int64_t b = 0; b < evaluation_batches_; ++b) {
      feed.fill(b, batch_);
      evaluator_->load(batch_);
      evaluator_->forward(0, evaluator_->tensors(), weights, false, 0);
      result.loss += evaluator_->loss() / static_cast<double>(evaluation_batches_);
      result.accuracy += static_cast<double>(evaluator_->correct());
      rows += static_cast<double>(evaluator_->rows());
    }
    if (rows > 0) result.accuracy /= rows;
    return result;
  }

  [[nodiscard]] std::shared_ptr<DeviceMemory> device_memory() override {
    if (!memory_ && kernels::cuda_device_number(options_.backend) >= 0)
      memory_ = std::make_shared<DeviceMemory>(kernels::make_backend(options_.backend));
    return memory_;
  }
  void update(kernels::Backend& on, double learning_rate, std::span<const float> gradient,
              std::span<float> velocity, std::span<float> parameters) const override {
    kernels::SgdOptions sgd = sgd_;
    sgd.learning_rate = learning_rate;
    kernels::Array<float> clipped;
    if (options_.clip_norm > 0) {
      clipped = kernels::Array<float>(on, gradient.size());
      on.copy(clipped.data(), gradient.data(), gradient.size_bytes());
      on.clip_norm(options_.clip_norm, clipped.span());
      gradient = clipped;
    }
    on.sgd_step(sgd, gradient, velocity, parameters);
  }
  [[nodiscard]] double momentum() const override { return options_.momentum; }
  [[nodiscard]] std::int64_t micro_batches() const override { return options_.micro_batches; }

 private:
  Model model_;
  std::shared_ptr<const Dataset> data_;
  TrainingOptions options_;
  std::vector<std::vector<std::int64_t>> shards_;
  std::shared_ptr<DeviceMemory> memory_;
  kernels::SgdOptions sgd_;
  std::int64_t evaluation_batch_ = 1, evaluation_batches_ = 1;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<Network> evaluator_;
  kernels::Array<float> weights_;  // on a device
  Batch batch_;
};

}  // namespace

std::shared_ptr<ValueEngine> make_network_engine(const Model& model,
                                                 std::shared_ptr<const Dataset> data,
                                                 const TrainingOptions& options) {
  return std::make_shared<NetworkEngine>(model, std::move(data), options);
}

}  // namespace paceline
