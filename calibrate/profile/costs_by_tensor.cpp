#include "calibrate/profile/costs_by_tensor.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace paceline {

CostsByTensor costs_by_tensor(const Model& model, const std::vector<double>& forward,
                              const std::vector<double>& backward) {
  if (model.tensors().empty())
    throw InputError(fmt::format("model '{}' has no parameters to train", model.name()));
  CostsByTensor costs;
  for (const ModelTensor& tensor : model.tensors())
    costs.tensors.push_back({tensor.name, tensor.elements(), 0, 0});

  std::size_t owned =
      0;  // the last tensor of the nearest operation at or before this one that owns any
  for (std::size_t i = 0; i < model.operations().size(); ++i) {
    for (const std::size_t tensor : model.tensors_of(i))
      if (model.tensors()[tensor].operations.front() == i) owned = tensor;
    costs.tensors[owned].forward_s += forward[i];
  }

  double pending = 0;
  for (const GradientEvent& event : gradient_events(model)) {
    pending += backward[event.operation];
    for (const std::size_t tensor : event.tensors) {
      costs.tensors[tensor].backward_s = pending;
      costs.backward_order.push_back(tensor);
      pending = 0;
    }
  }
  return costs;
}

}  // namespace paceline
