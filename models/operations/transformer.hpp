#pragma once

#include "models/operations/rules.hpp"

// What transformers and convolutional networks since 2018 have beyond the rest. No layer executes
// these yet: they are for times.
namespace paceline {

/// x / rms(x) * weight over the last dimension (Zhang and Sennrich 2019)
struct RmsNormOp {
  static constexpr const char* name = "rms_norm";
  double epsilon = 1e-6;

  static void fields(auto& a, auto& f) { f.optional("epsilon", a.epsilon, 1e-30, 1); }
  static void infer(Inference& i) {
    i.output(i.shape());
    i.parameter("weight", {i.shape().back()});
  }
  /// A row stays on the chip.
  static OpCosts costs(const Sizes& s) {
    OpCosts c = parameter_costs(s);
    c.forward_flops = 4 * s.out;
    c.backward_data_flops = 6 * s.out;
    c.backward_weight_flops = 3 * s.out;
    c.forward_bytes = kElementBytes * (s.in + s.out);
    c.backward_weight_bytes = kElementBytes * 2 * s.out;
    c.backward_bytes = c.backward_weight_bytes + kElementBytes * s.out;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  static InitialValues initial(std::size_t /*k*/, const TensorShape& /*weight*/) {
    return {0, 1.0f};
  }
  bool operator==(const RmsNormOp&) const = default;
};

/// Rotary position embedding (Su et al. 2021): pairs of features are turned by their position.
struct RotaryOp {
  static constexpr const char* name = "rotary";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output(i.sequence()); }
  static OpCosts costs(const Sizes& s) { return element_costs(s, 3, 3, s.in + s.out, 2 * s.out); }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const RotaryOp&) const = default;
};

/// x * sigmoid(x), also called swish
struct SiluOp {
  static constexpr const char* name = "silu";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output(i.shape()); }
  static OpCosts costs(const Sizes& s) { return element_costs(s, 4, 6, s.in + s.out, 3 * s.out); }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  bool operator==(const SiluOp&) const = default;
};

/// Product of two inputs, element by element; the second may be [C] or [C,1,1], one factor for each
/// channel of the first (squeeze and excitation).
struct MultiplyOp {
  static constexpr const char* name = "multiply";
  static constexpr Arity arity{2, 2};
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) {
    const TensorShape &x = i.shape(0), &y = i.shape(1);
    const bool scales = y.front() == x.front() && element_count(y) == y.front();
    if (y != x && !scales) i.refuse_shapes("multiplies unequal shapes:", 1);
    i.output(x);
  }
  static OpCosts costs(const Sizes& s) {
    return element_costs(s, 1, 2, s.in + s.out, s.out + 2 * s.in);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  bool operator==(const MultiplyOp&) const = default;
};

/// [C,H,W] -> [H*W+1,C] with a class token in front and learnt positions added (Dosovitskiy et al.
/// 2020)
struct PatchTokensOp {
  static constexpr const char* name = "patch_tokens";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) {
    const TensorShape& image = i.image();
    const TensorShape tokens{image[1] * image[2] + 1, image[0]};
    i.output(tokens);
    i.parameter("class_token", {1, image[0]});
    i.parameter("pos_embedding", tokens);
  }
  static OpCosts costs(const Sizes& s) { return element_costs(s, 1, 0, s.in + s.out, 2 * s.out); }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const PatchTokensOp&) const = default;
};

}  // namespace paceline
