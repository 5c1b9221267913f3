#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// With p = softmax of a row's logits (the largest subtracted first): loss = mean over rows of -log
/// p[label]; dlogits = (p - onehot(label)) * dy[0]/rows. Output [2]: loss, rows predicted rightly.
/// A NaN logit makes the loss NaN and its row wrong. Throws InputError at a label outside [0,
/// classes).
template <class T>
std::unique_ptr<BasicLayer<T>> make_softmax_loss(const SoftmaxLossShape& shape);

}  // namespace paceline::kernels
