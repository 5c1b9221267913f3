#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

/// [C,H,W] -> [channels,H',W']; weight [channels, C/groups, kh, kw]
struct Conv2dOp {
  static constexpr const char* name = "conv2d";
  std::int64_t channels = 0;  ///< of the output
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  std::int64_t groups = 1;
  bool bias = true;

  static void fields(auto& a, auto& f) {
    f.required("channels", a.channels, 1);
    f.required("kernel", a.kernel, 1);
    f.optional("stride", a.stride, 1);
    f.optional("padding", a.padding, 0);
    f.optional("groups", a.groups, 1);
    f.optional("bias", a.bias);
  }
  void infer(Inference& i) const;
  [[nodiscard]] SampleCosts costs(const Sizes& s) const {
    const std::int64_t taps = s.input[0] / groups * kernel.height * kernel.width;
    return matrix_costs(s, s.out * static_cast<double>(taps), bias);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {.inputs = true}; }
  [[nodiscard]] kernels::Conv2dShape layer(const BatchedInputs& in) const {
    return {.input = in.image(),
            .channels = channels,
            .window = window(kernel, stride, padding),
            .groups = groups,
            .bias = bias};
  }
  /// He et al., arXiv 1502.01852; the bias as PyTorch's.
  static InitialValues initial(std::size_t k, const TensorShape& weight);
  bool operator==(const Conv2dOp&) const = default;
};

}  // namespace paceline
