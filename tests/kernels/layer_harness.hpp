#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/plain.hpp"

// One layer, random contents, and both passes: run in the reference for any T, or by a backend.
namespace paceline::kernels::testing {

using Values = std::vector<double>;

/// Everything that goes into a forward and a backward pass.
struct LayerCase {
  LayerShape shape;
  std::vector<Values> inputs, parameters;
  Values state, output_gradient;
  bool training = true;
  std::uint64_t seed = 7;
};
/// Everything that comes out. Empty where no gradient exists.
struct LayerResult {
  Values output, state;
  std::vector<Values> input_gradients, parameter_gradients;
};

/// Token numbers and labels have no gradient.
bool differentiable(const LayerShape& shape, std::size_t input);
LayerCase random_case(const LayerShape& shape, std::uint64_t seed);
std::string describe(const LayerShape& shape);

template <class T>
LayerResult run_reference(const LayerCase& c);
/// Forward and backward, or forward alone if not training.
LayerResult run_backend(Backend& backend, const LayerCase& c);

/// Shapes of every layer: odd sizes, strides, groups, padding; `random` more of each of the
/// important ones.
std::vector<LayerShape> layer_shapes(int random, std::uint64_t seed);

}  // namespace paceline::kernels::testing
