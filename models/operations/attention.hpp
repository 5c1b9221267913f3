#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// softmax(Q K^T / sqrt(C/heads)) V of inputs Q [T,C], K and V [S, C*kv_heads/heads]; or of one
/// input that holds the three side by side.
struct AttentionOp {
  static constexpr const char* name = "attention";
  static constexpr Arity arity{1, 3};
  std::int64_t heads = 1;
  double dropout = 0;  ///< on the softmax
  bool causal = false;
  std::int64_t kv_heads = 0;          ///< grouped queries: heads of K and V; 0: as many as `heads`
  std::int64_t relative_buckets = 0;  ///< of T5's learnt position bias [buckets, heads]; 0: none

  static void fields(auto& a, auto& f) {
    f.required("heads", a.heads, 1);
    f.optional("dropout", a.dropout, 0, 1);
    f.optional("causal", a.causal);
    f.optional("kv_heads", a.kv_heads, 0);
    f.optional("relative_buckets", a.relative_buckets, 0);
  }
  void infer(Inference& i) const;
  [[nodiscard]] OpCosts costs(const Sizes& s) const {
    OpCosts c = parameter_costs(s);
    const double softmax = scores(s);
    c.macs = 2 * static_cast<double>(s.output[0]) * attended(s) * static_cast<double>(s.output[1]);
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
  [[nodiscard]] std::int64_t key_heads() const { return kv_heads > 0 ? kv_heads : heads; }
  /// S, from the elements of all inputs: T*C + 2*S*C*kv_heads/heads
  [[nodiscard]] double attended(const Sizes& s) const {
    const auto width = static_cast<double>(s.output[1]);
    return (s.in - s.out) * static_cast<double>(heads) /
           (2 * width * static_cast<double>(key_heads()));
  }
  [[nodiscard]] double scores(const Sizes& s) const {
    return static_cast<double>(heads) * static_cast<double>(s.output[0]) * attended(s);
  }
};

}  // namespace paceline
