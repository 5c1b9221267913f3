#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels {

std::unique_ptr<Layer> DenseShape::make_onednn() const {
  return onednn::make_plain_layer(*this, make_dense<float>(*this, onednn::matrix_product));
}

}  // namespace paceline::kernels
