#pragma once

#include <vector>

#include "models/operation.hpp"

namespace paceline {

/// Sets output_shape and parameters of `operation` from its attributes and the operations it reads.
/// Throws InputError (without the operation's name) if they do not fit.
void infer_shape(Operation& operation, const std::vector<const Operation*>& inputs);

/// Sets needs_gradient, macs, FLOPs and bytes; infer_shape() must have run.
///
/// One multiply-accumulate is 2 FLOPs. With M the MACs of the forward pass, n the elements of the
/// output:
///   conv2d, dense   forward 2M (+ n with a bias), data 2M, weight 2M (+ n)
///   lstm            forward 2M + T*H*(9 + 4*biases), data 2M + 22*T*H, weight 2M + 4*T*H*biases
///   attention       M = 2*T*T*C; forward 2M + 5 per softmax element, data 4M + 4 per softmax
///   element norms           8 per element forward, 5 data, 5 weight
/// and for the other element-wise operations the arithmetic of their formula, each transcendental
/// as one FLOP.
///
/// Bytes are the least traffic, 4 per element: every operand read once and every result written
/// once, except that batch_norm reads its input twice (its statistics need the whole batch first)
/// and an LSTM reads its recurrent weights at every step (they do not fit on the chip). Dropout
/// masks take one byte. Views move nothing.
void set_costs(Operation& operation, const std::vector<const Operation*>& inputs);

/// The cost of summing the gradients that reach an operation from `consumers` > 1 readers, added to
/// its backward data pass.
void add_fan_out_costs(Operation& operation, std::size_t consumers);

/// What the operation's backward pass wants from the forward pass: nothing if it has none.
KeptForBackward kept_for_backward(const Operation& operation,
                                  const std::vector<const Operation*>& inputs);

}  // namespace paceline
