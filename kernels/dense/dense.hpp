#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// y [rows, outputs] = x weight^T + bias, and its gradients: dx = dy weight, dweight = dy^T x,
/// dbias = the sum of dy's rows.
template <class T>
std::unique_ptr<BasicLayer<T>> make_dense(const DenseShape& shape,
                                          MatrixProduct<T> multiply = reference::matrix_product<T>);

}  // namespace paceline::kernels
