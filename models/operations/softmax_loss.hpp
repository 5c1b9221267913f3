#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// Softmax and cross-entropy over the last dimension, mean over the others -> [1]
struct SoftmaxLossOp {
  static constexpr const char* name = "softmax_loss";
  double weight = 1;  ///< in the sum of the model's losses (auxiliary heads: 0.3 or 0.4)

  static void fields(auto& a, auto& f) { f.optional("weight", a.weight, 0); }
  void infer(Inference& i) const;
  /// max, subtract, exp, add, divide; backward: subtract the label, scale.
  static SampleCosts costs(const Sizes& s) {
    SampleCosts c = element_costs(s, 0, 0, 2 * s.in, 2 * s.in);
    c.forward_flops = 5 * s.in;
    c.backward_data_flops = 2 * s.in;
    return c;
  }
  static KeptForBackward kept(const Sizes& s) { return {.extra_elements = s.in}; }
  static kernels::SoftmaxLossShape layer(const BatchedInputs& in) {
    return {in.rows(), in.shape().back()};
  }
  bool operator==(const SoftmaxLossOp&) const = default;
};

}  // namespace paceline
