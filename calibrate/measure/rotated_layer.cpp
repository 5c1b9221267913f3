#include "calibrate/measure/rotated_layer.hpp"

#include <algorithm>

namespace paceline {
namespace {

template <class T>
std::vector<T*> pointers(const std::vector<kernels::Array<float>>& arrays) {
  std::vector<T*> result;
  for (const auto& array : arrays) result.push_back(array.data());
  return result;
}

// Tokens and labels are whole numbers below this; 0: any values.
std::int64_t values_below(const kernels::LayerShape& shape, std::size_t input) {
  if (const auto* embedding = std::get_if<kernels::EmbeddingShape>(&shape))
    return embedding->entries;
  const auto* loss = std::get_if<kernels::SoftmaxLossShape>(&shape);
  return loss != nullptr && input == 1 ? loss->classes : 0;
}

}  // namespace

double RotatedLayer::touched_bytes(const kernels::LayerShape& shape) {
  double elements = static_cast<double>(kernels::elements(kernels::output_dims(shape)));
  for (const auto& group : {kernels::input_dims(shape), kernels::parameter_dims(shape)})
    for (const kernels::Dims& dims : group)
      elements += static_cast<double>(kernels::elements(dims));
  return 4 * elements;
}

RotatedLayer::RotatedLayer(kernels::Backend& backend, const kernels::LayerShape& shape, int sets)
    : backend_(backend),
      layer_(backend.make_layer(shape)),
      state_(backend,
             static_cast<std::size_t>(std::max<std::int64_t>(kernels::state_elements(shape), 1))) {
  backend.fill(0, state_);
  if (const std::vector<float> start = kernels::initial_state(shape); !start.empty())
    backend.copy_from_host(state_.data(), start.data(), start.size() * sizeof(float));
  backend.synchronize();
  for (int s = 0; s < sets; ++s) sets_.push_back(make_set(shape));
}

RotatedLayer::Set RotatedLayer::make_set(const kernels::LayerShape& shape) {
  Set set;
  const std::vector<kernels::Dims> inputs = kernels::input_dims(shape);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::int64_t below = values_below(shape, i);
    set.inputs.push_back(activation(inputs[i], below));
    set.input_gradients.push_back(below > 0 ? nullptr : backend_.make_activation(inputs[i]));
  }
  const kernels::Dims output = kernels::output_dims(shape);
  set.output = backend_.make_activation(output);
  set.output_gradient = activation(output, 0);
  for (const kernels::Dims& dims : kernels::parameter_dims(shape)) {
    const std::vector<float> values = noise(kernels::elements(dims), 0);
    kernels::Array<float>& array = set.parameters.emplace_back(backend_, values.size());
    backend_.copy_from_host(array.data(), values.data(), values.size() * sizeof(float));
    backend_.synchronize();  // the values are gone after this
    set.gradients.emplace_back(backend_, values.size());
  }
  return set;
}

void RotatedLayer::forward(std::size_t s) {
  const Set& set = sets_[s];
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

void RotatedLayer::backward(std::size_t s, bool of_inputs, bool of_parameters) {
  const Set& set = sets_[s];
  std::vector<const kernels::Activation*> inputs;
  std::vector<kernels::Activation*> input_gradients;
  for (const auto& input : set.inputs) inputs.push_back(input.get());
  for (const auto& gradient : set.input_gradients)
    input_gradients.push_back(of_inputs ? gradient.get() : nullptr);
  const std::vector<const float*> parameters = pointers<const float>(set.parameters);
  std::vector<float*> gradients = pointers<float>(set.gradients);
  if (!of_parameters) std::fill(gradients.begin(), gradients.end(), nullptr);
  layer_->backward({.inputs = inputs,
                    .output = *set.output,
                    .output_gradient = *set.output_gradient,
                    .parameters = parameters,
                    .input_gradients = input_gradients,
                    .parameter_gradients = gradients});
}

std::unique_ptr<kernels::Activation> RotatedLayer::activation(const kernels::Dims& dims,
                                                              std::int64_t below) {
  auto result = backend_.make_activation(dims);
  backend_.write(noise(kernels::elements(dims), below), *result);
  backend_.synchronize();  // the noise is gone after this
  return result;
}

std::vector<float> RotatedLayer::noise(std::int64_t n, std::int64_t below) {
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

}  // namespace paceline
