#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"
#include "kernels/matrix_product.hpp"

namespace paceline::kernels {

/// x [batch, steps, inputs] -> h [batch, steps, hidden]. Parameters in PyTorch's order, gates i, f,
/// g, o: weight [4*hidden, inputs], recurrent weight [4*hidden, hidden], then `biases` (0, 1 or 2)
/// vectors [4*hidden], whose sum acts. State: h then c, [batch, hidden] each; the gradient stops at
/// the first step (truncated back-propagation through time).
///
/// Hochreiter & Schmidhuber's LSTM as PyTorch writes it: (i, f, g, o) = x_t W^T + h_{t-1} U^T +
/// biases; c_t = sigmoid(f)*c_{t-1} + sigmoid(i)*tanh(g); h_t = sigmoid(o)*tanh(c_t). Starts from
/// the state and leaves h_T, c_T there. The gradient runs back through all steps of one call and
/// stops at the first.
struct LstmShape {
  std::int64_t batch = 1, steps = 1, inputs = 1, hidden = 1;
  int biases = 2;
  [[nodiscard]] const char* name() const { return "lstm"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {{batch, steps, inputs}}; }
  [[nodiscard]] Dims output_dims() const { return {batch, steps, hidden}; }
  [[nodiscard]] std::vector<Dims> parameter_dims() const;
  [[nodiscard]] std::int64_t state_elements() const { return 2 * batch * hidden; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_onednn() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const LstmShape&) const = default;
};

/// The reference with a matrix product of one's own.
template <class T>
std::unique_ptr<BasicLayer<T>> make_lstm(const LstmShape& shape, MatrixProduct<T> multiply);

}  // namespace paceline::kernels
