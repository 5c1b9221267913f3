#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// What the data set delivers: real values, or token numbers.
struct InputOp {
  static constexpr const char* name = "input";
  static constexpr Arity arity{0, 0};
  TensorShape shape = {};
  std::int64_t entries = 0;  ///< token numbers run from 0 to entries-1; 0: real values

  static void fields(auto& a, auto& f) {
    f.required("shape", a.shape);
    f.optional("entries", a.entries, 0);
  }
  void infer(Inference& i) const;
  static SampleCosts costs(const Sizes& s) { return parameter_costs(s); }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const InputOp&) const = default;
};

/// Parameters only, for models whose times are given; cannot be executed. What is declared is per
/// sample: the backward pass is taken as twice the FLOPs and bytes of the forward pass.
struct OpaqueOp {
  static constexpr const char* name = "opaque";
  static constexpr Arity arity{0, 1};
  std::int64_t elements = 0;
  double flops = 0;
  double bytes = 0;

  static void fields(auto& a, auto& f) {
    f.elements("elements", a.elements);
    f.flops("flops", a.flops);
    f.bytes("bytes", a.bytes);
  }
  void infer(Inference& i) const;
  [[nodiscard]] SampleCosts costs(const Sizes& s) const {
    SampleCosts c = parameter_costs(s);
    c.forward_flops = c.backward_data_flops = c.backward_weight_flops = flops;
    c.forward_bytes = c.backward_weight_bytes = bytes;
    c.backward_bytes = 2 * bytes;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const OpaqueOp&) const = default;
};

}  // namespace paceline
