#pragma once

#include <memory>
#include <random>
#include <vector>

#include "kernels/backend.hpp"

namespace paceline {

/// One layer with sets of activations and parameters of its own, to be timed in turn: caches are
/// cold where the sets are larger than they are. Values are noise, tokens and labels whole numbers.
class RotatedLayer {
 public:
  RotatedLayer(kernels::Backend& backend, const kernels::LayerShape& shape, int sets);

  void forward(std::size_t set);
  /// Gradients of the inputs (but tokens and labels) and of the parameters, or of one of them.
  void backward(std::size_t set, bool inputs = true, bool parameters = true);
  [[nodiscard]] int sets() const { return static_cast<int>(sets_.size()); }

  /// What a forward pass touches of a set; a backward pass touches as much again in gradients.
  static double touched_bytes(const kernels::LayerShape& shape);

 private:
  struct Set {
    std::vector<std::unique_ptr<kernels::Activation>> inputs, input_gradients;
    std::unique_ptr<kernels::Activation> output, output_gradient;
    std::vector<kernels::Array<float>> parameters, gradients;
  };
  Set make_set(const kernels::LayerShape& shape);
  std::unique_ptr<kernels::Activation> activation(const kernels::Dims& dims, std::int64_t below);
  std::vector<float> noise(std::int64_t n, std::int64_t below);

  kernels::Backend& backend_;
  std::minstd_rand random_{1};
  std::unique_ptr<kernels::Layer> layer_;
  kernels::Array<float> state_;
  std::vector<Set> sets_;
};

}  // namespace paceline
