#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// Hochreiter & Schmidhuber's LSTM as PyTorch writes it: (i, f, g, o) = x_t W^T + h_{t-1} U^T +
/// biases; c_t = sigmoid(f)*c_{t-1} + sigmoid(i)*tanh(g); h_t = sigmoid(o)*tanh(c_t). Starts from
/// the state and leaves h_T, c_T there. The gradient runs back through all steps of one call and
/// stops at the first.
template <class T>
std::unique_ptr<BasicLayer<T>> make_lstm(const LstmShape& shape,
                                         MatrixProduct<T> multiply = reference::matrix_product<T>);

}  // namespace paceline::kernels
