#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/layer.hpp"

namespace paceline::kernels {

/// Inputs: logits [rows, classes] and labels [rows]. Output [2]: mean cross-entropy, and the number
/// of rows whose largest logit (the first of equal ones) is the label's. The gradient of the logits
/// is scaled by the first element of the output's gradient: 1, or the weight of an auxiliary head.
///
/// With p = softmax of a row's logits (the largest subtracted first): loss = mean over rows of -log
/// p[label]; dlogits = (p - onehot(label)) * dy[0]/rows. Output [2]: loss, rows predicted rightly.
/// A NaN logit makes the loss NaN and its row wrong. Throws InputError at a label outside [0,
/// classes).
struct SoftmaxLossShape {
  std::int64_t rows = 1, classes = 2;
  [[nodiscard]] const char* name() const { return "softmax_loss"; }
  [[nodiscard]] std::vector<Dims> input_dims() const { return {{rows, classes}, {rows}}; }
  [[nodiscard]] Dims output_dims() const { return {2}; }
  /// Throws InputError.
  void check() const;
  template <class T>
  [[nodiscard]] std::unique_ptr<BasicLayer<T>> make_reference() const;
  [[nodiscard]] std::unique_ptr<Layer> make_cuda(cuda::Context& context) const;
  bool operator==(const SoftmaxLossShape&) const = default;
};

}  // namespace paceline::kernels
