#include "kernels/onednn/onednn.hpp"

namespace paceline::kernels {

std::unique_ptr<Layer> LstmShape::make_onednn() const {
  return onednn::make_plain_layer(*this, make_lstm<float>(*this, onednn::matrix_product));
}

}  // namespace paceline::kernels
