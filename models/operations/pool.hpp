#pragma once

#include "models/operations/rules.hpp"

namespace paceline {

template <kernels::PoolKind Kind>
struct PoolOp {
  static constexpr bool max = Kind == kernels::PoolKind::max;
  static constexpr const char* name = max ? "max_pool" : "avg_pool";
  Extent kernel = 1;
  Extent stride = 1;
  Extent padding = 0;
  bool ceil_mode = false;     ///< Caffe's rounding: a last, partial window is kept
  bool count_padding = true;  ///< avg_pool: padded zeros count in the mean

  static void fields(auto& a, auto& f) {
    f.required("kernel", a.kernel, 1);
    f.optional("stride", a.stride, 1);
    f.optional("padding", a.padding, 0);
    f.optional("ceil_mode", a.ceil_mode);
    f.optional("count_padding", a.count_padding);
  }
  void infer(Inference& i) const {
    const TensorShape& x = i.image();
    i.output(pooled(x, kernel, stride, padding, ceil_mode));
  }
  [[nodiscard]] SampleCosts costs(const Sizes& s) const {
    const double window = static_cast<double>(kernel.height * kernel.width);
    return element_costs(s, window, max ? 1 : window, s.in + s.out,
                         (max ? 2 * s.in : s.in) + s.out);
  }
  static KeptForBackward kept(const Sizes& s) {
    return max ? KeptForBackward{.inputs = true, .extra_elements = s.out} : KeptForBackward{};
  }
  [[nodiscard]] kernels::PoolShape layer(const BatchedInputs& in) const {
    return {.input = in.image(),
            .window = window(kernel, stride, padding),
            .kind = Kind,
            .ceil_mode = ceil_mode,
            .count_padding = count_padding};
  }
  bool operator==(const PoolOp&) const = default;
};
using MaxPoolOp = PoolOp<kernels::PoolKind::max>;
using AvgPoolOp = PoolOp<kernels::PoolKind::average>;

/// [C,H,W] -> [C]
struct GlobalAvgPoolOp {
  static constexpr const char* name = "global_avg_pool";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output({i.image()[0]}); }
  static SampleCosts costs(const Sizes& s) {
    SampleCosts c = element_costs(s, 1, 1, s.in + s.out, s.in + s.out);
    c.forward_flops = c.backward_data_flops = s.in;
    return c;
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  static kernels::PoolShape layer(const BatchedInputs& in) {
    return kernels::global_average(in.image());
  }
  bool operator==(const GlobalAvgPoolOp&) const = default;
};

}  // namespace paceline
