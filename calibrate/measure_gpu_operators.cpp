// Every different layer of a network alone on a GPU, over caches that are cold or hot.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>

#include "calibrate/measure_batch.hpp"
#include "calibrate/measure_gpu.hpp"
#include "calibrate/statistics.hpp"

namespace paceline {
namespace {

using kernels::CudaBackend;

// One layer with sets of activations and parameters of its own, to be used in turn.
class RotatedLayer {
 public:
  RotatedLayer(CudaBackend& gpu, const kernels::LayerShape& shape) : layer_(gpu.make_layer(shape)) {
    const std::vector<kernels::Dims> inputs = kernels::input_dims(shape),
                                     parameters = kernels::parameter_dims(shape);
    const kernels::Dims output = kernels::output_dims(shape);
    // A forward pass touches the values, a backward pass their gradients as well: enough sets for
    // the one that touches less.
    double touched = 4.0 * static_cast<double>(kernels::elements(output));
    for (const auto* group : {&inputs, &parameters})
      for (const kernels::Dims& dims : *group)
        touched += 4.0 * static_cast<double>(kernels::elements(dims));
    const auto count = static_cast<std::size_t>(rotation(gpu, touched, 2 * touched));
    touched_ = touched * static_cast<double>(count);
    state_ = kernels::Array<float>(
        gpu, static_cast<std::size_t>(std::max<std::int64_t>(kernels::state_elements(shape), 1)));
    if (const std::vector<float> start = kernels::initial_state(shape); !start.empty())
      gpu.copy_from_host(state_.data(), start.data(), start.size() * sizeof(float));
    for (std::size_t s = 0; s < count; ++s) {
      Set& set = sets_.emplace_back();
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        set.inputs.push_back(activation(gpu, inputs[i], values_below(shape, i)));
        // Tokens and labels have no gradient.
        set.input_gradients.push_back(values_below(shape, i) > 0 ? nullptr
                                                                 : gpu.make_activation(inputs[i]));
      }
      set.output = gpu.make_activation(output);
      set.output_gradient = activation(gpu, output, 0);
      for (const kernels::Dims& dims : parameters) {
        const std::vector<float> values = noise(kernels::elements(dims), 0);
        kernels::Array<float>& array = set.parameters.emplace_back(gpu, values.size());
        gpu.copy_from_host(array.data(), values.data(), values.size() * sizeof(float));
        set.gradients.emplace_back(gpu, values.size());
      }
      gpu.synchronize();
    }
  }

  void forward(std::size_t s) {
    Set& set = sets_[s];
    std::vector<const kernels::Activation*> inputs;
    for (const auto& input : set.inputs) inputs.push_back(input.get());
    const std::vector<const float*> parameters = pointers<const float>(set.parameters);
    layer_->forward({.inputs = inputs,
                     .output = *set.output,
                     .parameters = parameters,
                     .state = state_.data(),
                     .training = true,
                     .seed = 1});
  }
  void backward(std::size_t s) {
    Set& set = sets_[s];
    std::vector<const kernels::Activation*> inputs;
    std::vector<kernels::Activation*> input_gradients;
    for (const auto& input : set.inputs) inputs.push_back(input.get());
    for (const auto& gradient : set.input_gradients) input_gradients.push_back(gradient.get());
    const std::vector<const float*> parameters = pointers<const float>(set.parameters);
    const std::vector<float*> gradients = pointers<float>(set.gradients);
    layer_->backward({.inputs = inputs,
                      .output = *set.output,
                      .output_gradient = *set.output_gradient,
                      .parameters = parameters,
                      .input_gradients = input_gradients,
                      .parameter_gradients = gradients});
  }
  [[nodiscard]] int sets() const { return static_cast<int>(sets_.size()); }
  [[nodiscard]] double touched() const { return touched_; }

 private:
  struct Set {
    std::vector<std::unique_ptr<kernels::Activation>> inputs, input_gradients;
    std::unique_ptr<kernels::Activation> output, output_gradient;
    std::vector<kernels::Array<float>> parameters, gradients;
  };

  template <class T>
  static std::vector<T*> pointers(const std::vector<kernels::Array<float>>& arrays) {
    std::vector<T*> result;
    for (const auto& array : arrays) result.push_back(array.data());
    return result;
  }
  // Tokens and labels are whole numbers below this; 0: normal values.
  static std::int64_t values_below(const kernels::LayerShape& shape, std::size_t input) {
    if (const auto* embedding = std::get_if<kernels::EmbeddingShape>(&shape))
      return embedding->entries;
    const auto* loss = std::get_if<kernels::SoftmaxLossShape>(&shape);
    return loss != nullptr && input == 1 ? loss->classes : 0;
  }
  std::vector<float> noise(std::int64_t n, std::int64_t below) {
    std::vector<float> values(static_cast<std::size_t>(n));
    if (below > 0) {
      std::uniform_int_distribution<std::int64_t> number(0, below - 1);
      for (float& value : values) value = static_cast<float>(number(random_));
    } else {
      std::uniform_real_distribution<float> number(-1, 1);
      for (float& value : values) value = number(random_);
    }
    return values;
  }
  std::unique_ptr<kernels::Activation> activation(CudaBackend& gpu, const kernels::Dims& dims,
                                                  std::int64_t below) {
    auto result = gpu.make_activation(dims);
    gpu.write(noise(kernels::elements(dims), below), *result);
    gpu.synchronize();  // the noise is gone after this
    return result;
  }

  std::minstd_rand random_{1};
  std::unique_ptr<kernels::Layer> layer_;
  double touched_ = 0;
  kernels::Array<float> state_;
  std::vector<Set> sets_;
};

using Pass = std::function<void(RotatedLayer&, std::size_t)>;

std::vector<double> time_pass(CudaBackend& gpu, RotatedLayer& layer, int sets, double limit,
                              const Pass& pass) {
  const kernels::ReplayOptions replays{.buffers = sets,
                                       .sample_seconds = std::min(1e-3, limit / 20),
                                       .samples = 15,
                                       .warm_up_seconds = std::min(0.15, limit / 4),
                                       .limit_seconds = limit};
  return gpu.time_replays(replays, [&](int s) { pass(layer, static_cast<std::size_t>(s)); })
      .seconds;
}

Json time_operator(CudaBackend& gpu, const NetworkStep& step, double limit) {
  RotatedLayer layer(gpu, step.shape);
  const Pass forward = [](RotatedLayer& l, std::size_t s) { l.forward(s); };
  const Pass backward = [](RotatedLayer& l, std::size_t s) { l.backward(s); };
  const Pass both = [](RotatedLayer& l, std::size_t s) { l.forward(s), l.backward(s); };
  // A recurrent layer's backward pass uses up what the forward pass left: repeated alone it would
  // run on values that decay to zero, which are faster.
  const bool recurrent = std::holds_alternative<kernels::LstmShape>(step.shape);
  Json row{{"buffers", layer.sets()}, {"bytes", layer.touched()}};
  for (const bool cold : {true, false}) {
    const int sets = cold ? layer.sets() : 1;
    const std::string suffix = cold ? "_cold" : "_hot";
    const std::vector<double> ahead = time_pass(gpu, layer, sets, limit, forward);
    row["forward" + suffix] = summary_of(ahead);
    if (!step.backward) continue;
    layer.forward(0);  // the last one may have been of another set
    std::vector<double> back = time_pass(gpu, layer, sets, limit, recurrent ? both : backward);
    if (recurrent)
      for (double& seconds : back) seconds = std::max(0.0, seconds - median(ahead));
    row["backward" + suffix] = summary_of(back);
  }
  if (step.backward && recurrent)
    row["backward"] = "forward and backward less the forward's median";
  return row;
}

}  // namespace

int rotation(const CudaBackend& gpu, double touched, double held) {
  const double l2 = static_cast<double>(gpu.device().l2_bytes);
  const double room = static_cast<double>(gpu.device().memory_bytes) / 4;
  return static_cast<int>(
      std::max(1.0, std::min({64.0, std::floor(2 * l2 / touched) + 1, std::floor(room / held)})));
}

bool measure_operators(const Model& model, CudaBackend& gpu, std::int64_t batch,
                       const MeasureOptions& options, Json& rows,
                       const std::function<void(double)>& report,
                       const std::function<void()>& save) {
  const NetworkPlan plan = plan_network(model, batch);
  std::vector<kernels::LayerShape> seen;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const NetworkStep& step = plan.steps[i];
    report(double(i) / double(plan.steps.size()));
    if (std::find(seen.begin(), seen.end(), step.shape) != seen.end()) continue;
    seen.push_back(step.shape);
    if (seen.size() <= rows.size()) continue;  // measured before an interruption
    if (stopped(options)) return false;
    Json row{{"layer", model.operations()[step.operation].name},
             {"kind", kernels::layer_name(step.shape)}};
    try {
      row.update(time_operator(gpu, step, std::min(2.0, options.seconds / 5)));
    } catch (const std::runtime_error& error) {  // no memory for a second network, say
      row["error"] = error.what();
    }
    rows.push_back(std::move(row));
    save();
  }
  return true;
}

}  // namespace paceline
