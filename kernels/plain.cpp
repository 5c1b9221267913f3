#include "kernels/plain.hpp"

namespace paceline::kernels {

template <class T>
std::unique_ptr<BasicLayer<T>> make_reference_layer(const LayerShape& shape) {
  check_shape(shape);
  return std::visit([](const auto& s) { return s.template make_reference<T>(); }, shape);
}
template std::unique_ptr<BasicLayer<float>> make_reference_layer(const LayerShape&);
template std::unique_ptr<BasicLayer<double>> make_reference_layer(const LayerShape&);

}  // namespace paceline::kernels
