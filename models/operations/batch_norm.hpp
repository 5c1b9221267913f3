#pragma once

#include <tuple>

#include "models/operations/rules.hpp"

namespace paceline {

/// Over batch, height and width, per channel.
struct BatchNormOp {
  static constexpr const char* name = "batch_norm";
  double epsilon = 1e-5;
  double momentum = 0.1;  ///< of the running statistics, as PyTorch counts it

  static void fields(auto& a, auto& f) {
    f.optional("epsilon", a.epsilon, 1e-30, 1);
    f.optional("momentum", a.momentum, 0, 1);
  }
  static void infer(Inference& i) {
    i.output(i.shape());
    if (i.shape().size() == 2)
      std::ignore = i.image();  // [steps, features] has no channels in front
    const std::int64_t channels = i.shape().front();
    i.parameter("weight", {channels});
    i.parameter("bias", {channels});
  }
  /// Backward: sums over x and dy first (they are the parameters' gradient), then dx.
  static SampleCosts costs(const Sizes& s) {
    SampleCosts c = parameter_costs(s);
    c.forward_flops = 8 * s.out;
    c.backward_data_flops = 5 * s.out;
    c.backward_weight_flops = 5 * s.out;
    c.forward_bytes = kElementBytes * (2 * s.in + s.out);
    c.backward_weight_bytes = kElementBytes * 2 * s.out;
    c.backward_bytes = c.backward_weight_bytes + kElementBytes * 3 * s.out;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  [[nodiscard]] kernels::BatchNormShape layer(const BatchedInputs& in) const {
    return {.input = in.image(), .epsilon = epsilon, .momentum = momentum};
  }
  static InitialValues initial(std::size_t k, const TensorShape& /*weight*/) {
    return {0, k == 0 ? 1.0f : 0.0f};
  }
  bool operator==(const BatchNormOp&) const = default;
};

}  // namespace paceline
