#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/layer.hpp"
#include "models/network/plan.hpp"

namespace paceline {

/// Runs the steps of a plan with values of type T on a device: kernels::Backend for fp32, or the
/// reference layers in double to check gradients. Device has make_layer, make_activation,
/// accumulate, axpy, allocate, release and copy_from_host, as kernels::Backend has them.
template <class T, class Device>
class Execution {
 public:
  Execution(NetworkPlan plan, Device& device) : plan_(std::move(plan)), device_(device) {
    for (const kernels::Dims& dims : plan_.values) values_.push_back(device_.make_activation(dims));
    for (const kernels::Dims& dims : plan_.gradients)
      gradients_.push_back(device_.make_activation(dims));
    uses_.resize(plan_.offsets.size() - 1);
    for (const NetworkStep& step : plan_.steps) {
      layers_.push_back(device_.make_layer(step.shape));
      for (const std::size_t tensor : step.tensors) ++uses_[tensor];
    }
    state_ = array(plan_.state_elements);
    partial_.resize(uses_.size());
    std::int64_t largest = 0;
    for (std::size_t t = 0; t < uses_.size(); ++t)
      if (uses_[t] > 1) {
        partial_[t] = array(size_of(t));
        largest = std::max(largest, size_of(t));
      }
    scratch_ = array(largest);
    reset_state();
  }

  [[nodiscard]] const NetworkPlan& plan() const { return plan_; }
  [[nodiscard]] kernels::Activation& value(std::size_t i) { return *values_[i]; }
  [[nodiscard]] kernels::Activation& gradient(std::size_t i) { return *gradients_[i]; }
  [[nodiscard]] T* state() { return state_.get(); }

  /// Running variances 1, all else 0.
  void reset_state() {
    for (const StateSlot& slot : plan_.state)
      for (const NetworkStep& step : plan_.steps)
        if (step.operation == slot.operation && kernels::state_elements(step.shape) > 0) {
          const std::vector<float> start = kernels::initial_state(step.shape);
          const std::vector<T> values(start.begin(), start.end());
          device_.copy_from_host(state_.get() + slot.offset, values.data(),
                                 values.size() * sizeof(T));
        }
  }

  /// Steps [from, to) of the plan.
  void forward(std::size_t from, std::size_t to, const T* parameters, bool training,
               std::uint64_t seed) {
    for (std::size_t i = from; i < to; ++i) {
      const NetworkStep& step = plan_.steps[i];
      layers_[i]->forward({.inputs = inputs_of(step),
                           .output = *values_[step.output],
                           .parameters = parameters_of(step, parameters),
                           .state = state_.get() + step.state_offset,
                           .training = training,
                           .seed = seed});
    }
  }

  /// Steps [from, to) counted from the last one backwards; from 0 starts a new backward pass.
  void backward(std::size_t from, std::size_t to, const T* parameters, T* gradient) {
    if (from == 0) uses_left_ = uses_;
    for (std::size_t i = from; i < to; ++i) {
      const std::size_t index = plan_.steps.size() - 1 - i;
      if (plan_.steps[index].backward) backward(index, parameters, gradient);
    }
  }

 private:
  struct Release {
    Device* device = nullptr;
    void operator()(T* memory) const { device->release(memory); }
  };
  using Array = std::unique_ptr<T, Release>;

  Array array(std::int64_t elements) {
    const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(elements, 1)) * sizeof(T);
    return {static_cast<T*>(device_.allocate(bytes)), Release{&device_}};
  }
  [[nodiscard]] std::int64_t size_of(std::size_t tensor) const {
    return plan_.offsets[tensor + 1] - plan_.offsets[tensor];
  }
  std::span<const kernels::Activation* const> inputs_of(const NetworkStep& step) {
    inputs_.clear();
    for (const std::size_t input : step.inputs) inputs_.push_back(values_[input].get());
    return inputs_;
  }
  std::span<const T* const> parameters_of(const NetworkStep& step, const T* parameters) {
    parameters_.clear();
    for (const std::size_t tensor : step.tensors)
      parameters_.push_back(parameters + plan_.offsets[tensor]);
    return parameters_;
  }

  void backward(std::size_t index, const T* parameters, T* gradient) {
    const NetworkStep& step = plan_.steps[index];
    input_gradients_.clear();
    for (const std::optional<std::size_t>& i : step.input_gradients)
      input_gradients_.push_back(i ? gradients_[*i].get() : nullptr);
    parameter_gradients_.clear();
    for (const std::size_t tensor : step.tensors)
      parameter_gradients_.push_back(destination(tensor, gradient));
    layers_[index]->backward({.inputs = inputs_of(step),
                              .output = *values_[step.output],
                              .output_gradient = *gradients_[step.output_gradient],
                              .parameters = parameters_of(step, parameters),
                              .input_gradients = input_gradients_,
                              .parameter_gradients = parameter_gradients_});
    for (const auto& [term, into] : step.sums)
      device_.accumulate(*gradients_[term], *gradients_[into]);
    for (const std::size_t tensor : step.tensors) used(tensor, gradient);
  }

  // Where one use of a tensor writes its gradient. Of a tied tensor the first use fills partial_,
  // and the last one the gradient, to which partial_ is then added.
  T* destination(std::size_t tensor, T* gradient) {
    if (uses_left_[tensor] == 1) return gradient + plan_.offsets[tensor];
    return uses_left_[tensor] == uses_[tensor] ? partial_[tensor].get() : scratch_.get();
  }
  void used(std::size_t tensor, T* gradient) {
    const bool first = uses_left_[tensor] == uses_[tensor];
    const bool last = --uses_left_[tensor] == 0;
    if (first) return;
    const auto n = static_cast<std::size_t>(size_of(tensor));
    T* partial = partial_[tensor].get();
    if (last)
      device_.axpy(1.0, std::span<const T>(partial, n),
                   std::span<T>(gradient + plan_.offsets[tensor], n));
    else
      device_.axpy(1.0, std::span<const T>(scratch_.get(), n), std::span<T>(partial, n));
  }

  NetworkPlan plan_;
  Device& device_;
  std::vector<std::unique_ptr<kernels::Activation>> values_, gradients_;
  std::vector<std::unique_ptr<kernels::BasicLayer<T>>> layers_;
  std::vector<std::size_t> uses_, uses_left_;  // of each tensor
  std::vector<Array> partial_;                 // of tied tensors only
  Array scratch_, state_;
  std::vector<const kernels::Activation*> inputs_;
  std::vector<const T*> parameters_;
  std::vector<kernels::Activation*> input_gradients_;
  std::vector<T*> parameter_gradients_;
};

}  // namespace paceline
