#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// [..., C] -> [..., features]; weight [features, C]
struct DenseOp {
  static constexpr const char* name = "dense";
  std::int64_t features = 0;  ///< of the output
  bool bias = true;
  /// An earlier operation's tensor that serves as the weight ("": own weight).
  std::string tied_to = "";

  static void fields(auto& a, auto& f) {
    f.required("features", a.features, 1);
    f.optional("bias", a.bias);
    f.optional("tied_to", a.tied_to);
  }
  void infer(Inference& i) const {
    Inference::at_least(features, 1, "features");
    TensorShape output = i.shape();
    const std::int64_t inputs = output.back();
    output.back() = features;
    i.output(std::move(output));
    if (tied_to.empty())
      i.parameter("weight", {features, inputs});
    else
      i.tied_parameter(tied_to, {features, inputs});
    if (bias) i.parameter("bias", {features});
  }
  [[nodiscard]] SampleCosts costs(const Sizes& s) const {
    return matrix_costs(s, s.out * static_cast<double>(s.input.back()), bias);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  [[nodiscard]] kernels::DenseShape layer(const BatchedInputs& in) const {
    return {in.rows(), in.shape().back(), features, bias};
  }
  static InitialValues initial(std::size_t /*k*/, const TensorShape& weight) {
    return {inverse_root(weight[1])};
  }
  bool operator==(const DenseOp&) const = default;
};

}  // namespace paceline
