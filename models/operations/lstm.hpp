#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// One layer: [T,C] -> [T, hidden]; weights [4*hidden, C] and [4*hidden, hidden]. Gates in
/// PyTorch's order i, f, g, o. With two biases (PyTorch, cuDNN) their sum acts.
struct LstmOp {
  static constexpr const char* name = "lstm";
  std::int64_t hidden = 0;
  std::int64_t biases = 2;

  static void fields(auto& a, auto& f) {
    f.required("hidden", a.hidden, 1);
    f.optional("biases", a.biases, 0, 2);
  }
  void infer(Inference& i) const;
  [[nodiscard]] SampleCosts costs(const Sizes& s) const;
  /// Gates and cell beside input and output.
  static KeptForBackward kept(const Sizes& s) {
    return {.inputs = true, .output = true, .extra_elements = 5 * s.out};
  }
  [[nodiscard]] kernels::LstmShape layer(const BatchedInputs& in) const {
    return {in.batch, in.shape()[0], in.shape()[1], hidden, static_cast<int>(biases)};
  }
  static InitialValues initial(std::size_t /*k*/, const TensorShape& weight) {
    return {inverse_root(weight[0] / 4)};
  }
  bool operator==(const LstmOp&) const = default;
};

}  // namespace paceline
