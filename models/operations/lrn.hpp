#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// Local response normalisation across channels (AlexNet, GoogLeNet):
/// y = x / (k + alpha/size * sum of squares over `size` neighbouring channels)^beta
struct LrnOp {
  static constexpr const char* name = "lrn";
  std::int64_t size = 5;
  double alpha = 1e-4;
  double beta = 0.75;
  double k = 1;

  static void fields(auto& a, auto& f) {
    f.optional("size", a.size, 1);
    f.optional("alpha", a.alpha, 0);
    f.optional("beta", a.beta, 0);
    f.optional("k", a.k, 0);
  }
  void infer(Inference& i) const {
    Inference::at_least(size, 1, "size");
    i.output(i.image());
  }
  /// Running sum of squares over the channels: square, add, subtract; then scale, shift, power,
  /// multiply.
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 7, 10, s.in + 2 * s.out, 4 * s.out + s.in);
  }
  static KeptForBackward kept(const Sizes& s) { return {.inputs = true, .extra_elements = s.out}; }
  [[nodiscard]] kernels::LrnShape layer(const BatchedInputs& in) const {
    return {in.image(), size, alpha, beta, k};
  }
  bool operator==(const LrnOp&) const = default;
};

}  // namespace paceline
