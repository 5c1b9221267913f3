#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"
#include "kernels/matrix_product.hpp"

namespace paceline::kernels {

/// [rows, inputs] -> [rows, outputs]; an input of other dimensions is read as if flattened.
/// Parameters: weight [outputs, inputs], bias [outputs].
///
/// y [rows, outputs] = x weight^T + bias, and its gradients: dx = dy weight, dweight = dy^T x,
/// dbias = the sum of dy's rows.
struct DenseShape {
  std::int64_t rows = 1, inputs = 1, outputs = 1;
  bool bias = true;
  [[nodiscard]] const char* name() const { return "dense"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {{rows, inputs}}; }
  [[nodiscard]] Dims output_dims() const { return {rows, outputs}; }
  [[nodiscard]] std::vector<Dims> parameter_dims() const;
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const DenseShape&) const = default;
};

/// The reference with a matrix product of one's own.
template <class T>
std::unique_ptr<BasicLayer<T>> make_dense(const DenseShape& shape, MatrixProduct<T> multiply);

}  // namespace paceline::kernels
