#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// softmax(Q K^T / sqrt(C/heads)) V of inputs Q, K, V, each [T,C]
struct AttentionOp {
  static constexpr const char* name = "attention";
  static constexpr Arity arity{3, 3};
  std::int64_t heads = 1;
  double dropout = 0;  ///< on the softmax
  bool causal = false;

  static void fields(auto& a, auto& f) {
    f.required("heads", a.heads, 1);
    f.optional("dropout", a.dropout, 0, 1);
    f.optional("causal", a.causal);
  }
  void infer(Inference& i) const;
  [[nodiscard]] SampleCosts costs(const Sizes& s) const {
    SampleCosts c = parameter_costs(s);
    const auto steps = static_cast<double>(s.output[0]);
    const double softmax = scores(s);
    c.macs = 2 * steps * steps * static_cast<double>(s.output[1]);
    c.forward_flops = 2 * c.macs + 5 * softmax;
    c.backward_data_flops = 4 * c.macs + 4 * softmax;
    c.forward_bytes = kElementBytes * (s.in + s.out + softmax);
    c.backward_bytes = kElementBytes * (s.in + s.out + softmax + s.in_gradient);
    return c;
  }
  [[nodiscard]] KeptForBackward kept(const Sizes& s) const {
    return {.inputs = true, .extra_elements = scores(s) * (dropout > 0 ? 1.25 : 1)};
  }
  bool operator==(const AttentionOp&) const = default;

 private:
  [[nodiscard]] double scores(const Sizes& s) const {
    const auto steps = static_cast<double>(s.output[0]);
    return static_cast<double>(heads) * steps * steps;
  }
};

}  // namespace paceline
