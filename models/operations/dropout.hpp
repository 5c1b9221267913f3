#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

struct DropoutOp {
  static constexpr const char* name = "dropout";
  double p = 0.5;  ///< probability of zeroing; the rest is scaled by 1/(1-p)

  static void fields(auto& a, auto& f) { f.stated("p", a.p, 0, 1); }
  void infer(Inference& i) const {
    Inference::probability(p);
    i.output(i.shape());
  }
  /// The mask takes a byte an element.
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 2, 2, s.in + 1.25 * s.out, 2.25 * s.out);
  }
  static KeptForBackward kept(const Sizes& s) { return {.extra_elements = 0.25 * s.out}; }
  [[nodiscard]] kernels::DropoutShape layer(const BatchedInputs& in) const {
    return {in.dims, p, in.operation};
  }
  bool operator==(const DropoutOp&) const = default;
};

}  // namespace paceline
