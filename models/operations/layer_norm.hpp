#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// Over the last dimension.
struct LayerNormOp {
  static constexpr const char* name = "layer_norm";
  double epsilon = 1e-5;

  static void fields(auto& a, auto& f) { f.optional("epsilon", a.epsilon, 1e-30, 1); }
  static void infer(Inference& i) {
    i.output(i.shape());
    i.parameter("weight", {i.shape().back()});
    i.parameter("bias", {i.shape().back()});
  }
  /// A row stays on the chip.
  static SampleCosts costs(const Sizes& s) {
    SampleCosts c = parameter_costs(s);
    c.forward_flops = 8 * s.out;
    c.backward_data_flops = 5 * s.out;
    c.backward_weight_flops = 5 * s.out;
    c.forward_bytes = kElementBytes * (s.in + s.out);
    c.backward_weight_bytes = kElementBytes * 2 * s.out;
    c.backward_bytes = c.backward_weight_bytes + kElementBytes * s.out;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  [[nodiscard]] kernels::LayerNormShape layer(const BatchedInputs& in) const {
    return {in.rows(), in.shape().back(), epsilon};
  }
  static InitialValues initial(std::size_t k, const TensorShape& /*weight*/) {
    return {0, k == 0 ? 1.0f : 0.0f};
  }
  bool operator==(const LayerNormOp&) const = default;
};

}  // namespace paceline
