#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// What functions of single elements have in common.
template <kernels::PointwiseFunction Function>
struct PointwiseOp {
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output(i.shape()); }
  static kernels::PointwiseShape layer(const BatchedInputs& in) { return {in.dims, Function}; }
  bool operator==(const PointwiseOp&) const = default;
};

struct ReluOp : PointwiseOp<kernels::PointwiseFunction::relu> {
  static constexpr const char* name = "relu";
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 1, 1, s.in + s.out, 3 * s.out);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.output = true}; }
  bool operator==(const ReluOp&) const = default;
};

struct TanhOp : PointwiseOp<kernels::PointwiseFunction::tanh> {
  static constexpr const char* name = "tanh";
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 1, 3, s.in + s.out, 3 * s.out);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.output = true}; }
  bool operator==(const TanhOp&) const = default;
};

struct SigmoidOp : PointwiseOp<kernels::PointwiseFunction::sigmoid> {
  static constexpr const char* name = "sigmoid";
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 3, 3, s.in + s.out, 3 * s.out);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.output = true}; }
  bool operator==(const SigmoidOp&) const = default;
};

/// The exact one, x*Phi(x).
struct GeluOp : PointwiseOp<kernels::PointwiseFunction::gelu> {
  static constexpr const char* name = "gelu";
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 4, 8, s.in + s.out, 3 * s.out);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  bool operator==(const GeluOp&) const = default;
};

}  // namespace paceline
