#include "kernels/shapes.hpp"

namespace paceline::kernels {

std::int64_t elements(const Dims& dims) {
  std::int64_t count = 1;
  for (std::int64_t extent : dims) count *= extent;
  return count;
}

std::string layer_name(const LayerShape& shape) {
  return std::visit([](const auto& s) { return s.name(); }, shape);
}
std::vector<Dims> input_dims(const LayerShape& shape) {
  return std::visit([](const auto& s) { return s.input_dims(); }, shape);
}
Dims output_dims(const LayerShape& shape) {
  return std::visit([](const auto& s) { return s.output_dims(); }, shape);
}
void check_shape(const LayerShape& shape) {
  std::visit([](const auto& s) { s.check(); }, shape);
}

std::vector<Dims> parameter_dims(const LayerShape& shape) {
  return std::visit(
      [](const auto& s) {
        if constexpr (requires { s.parameter_dims(); })
          return s.parameter_dims();
        else
          return std::vector<Dims>{};
      },
      shape);
}

std::int64_t state_elements(const LayerShape& shape) {
  return std::visit(
      [](const auto& s) {
        if constexpr (requires { s.state_elements(); })
          return s.state_elements();
        else
          return std::int64_t{0};
      },
      shape);
}

std::vector<float> initial_state(const LayerShape& shape) {
  return std::visit(
      [&](const auto& s) {
        if constexpr (requires { s.initial_state(); })
          return s.initial_state();
        else
          return std::vector<float>(static_cast<std::size_t>(state_elements(shape)), 0.0f);
      },
      shape);
}

}  // namespace paceline::kernels
