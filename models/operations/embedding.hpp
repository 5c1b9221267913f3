#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// Token numbers [T] -> [T, features]; weight [entries, features]
struct EmbeddingOp {
  static constexpr const char* name = "embedding";
  std::int64_t entries = 0;
  std::int64_t features = 0;

  static void fields(auto& a, auto& f) {
    f.required("entries", a.entries, 1);
    f.required("features", a.features, 1);
  }
  void infer(Inference& i) const;
  /// Only the rows of the batch's tokens are read, counted with the output.
  static SampleCosts costs(const Sizes& s) {
    SampleCosts c = element_costs(s, 0, 0, s.in + 2 * s.out, 0);
    c.backward_weight_flops = s.out;
    c.backward_weight_bytes = c.backward_bytes = kElementBytes * (s.in + s.out);
    c.parameter_bytes = 0;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  [[nodiscard]] kernels::EmbeddingShape layer(const BatchedInputs& in) const {
    return {in.elements(), entries, features};
  }
  /// Zaremba et al., arXiv 1409.2329
  static InitialValues initial(std::size_t /*k*/, const TensorShape& /*weight*/) { return {0.1}; }
  bool operator==(const EmbeddingOp&) const = default;
};

}  // namespace paceline
