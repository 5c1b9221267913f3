#pragma once

#include <algorithm>

#include "models/operations/rules.hpp"

namespace paceline {

/// Sum of two or more inputs of equal shape.
struct AddOp {
  static constexpr const char* name = "add";
  static constexpr Arity arity{2, SIZE_MAX};
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) {
    i.output(i.shape());
    for (std::size_t k = 0; k < i.inputs(); ++k)
      if (i.shape(k) != i.shape()) i.refuse_shapes("adds unequal shapes:", k);
  }
  /// The gradient of a sum is handed on as it is; add_fan_out_costs() counts where it is summed
  /// again.
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, s.in / s.out - 1, 0, s.in + s.out, 0);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  static kernels::AddShape layer(const BatchedInputs& in) {
    return {in.dims, static_cast<std::int64_t>(in.shapes.size())};
  }
  bool operator==(const AddOp&) const = default;
};

/// Along the first dimension (channels).
struct ConcatOp {
  static constexpr const char* name = "concat";
  static constexpr Arity arity{2, SIZE_MAX};
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) {
    TensorShape joined = i.shape();
    joined[0] = 0;
    for (std::size_t k = 0; k < i.inputs(); ++k) {
      const TensorShape& x = i.shape(k);
      if (x.size() != joined.size() || !std::equal(x.begin() + 1, x.end(), joined.begin() + 1))
        i.refuse_shapes("joins shapes that differ beyond the first dimension:", k);
      joined[0] += x[0];
    }
    i.output(std::move(joined));
  }
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 0, 0, s.in + s.out, s.out + s.in_gradient);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  static kernels::ConcatShape layer(const BatchedInputs& in) {
    const kernels::ImageShape first = in.image();
    kernels::ConcatShape shape{in.batch, {}, first.height, first.width};
    for (const TensorShape* x : in.shapes) shape.channels.push_back((*x)[0]);
    return shape;
  }
  bool operator==(const ConcatOp&) const = default;
};

/// [C,H,W] -> [C*H*W]; a view: nothing moves, and no layer executes it.
struct FlattenOp {
  static constexpr const char* name = "flatten";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output({element_count(i.shape())}); }
  static SampleCosts costs(const Sizes& s) { return parameter_costs(s); }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const FlattenOp&) const = default;
};

/// Option-A shortcut of CIFAR ResNets: every stride-th pixel, new channels zero.
struct SubsamplePadOp {
  static constexpr const char* name = "subsample_pad";
  /// Of the output; the new ones are split evenly before and after the old.
  std::int64_t channels = 0;
  std::int64_t stride = 2;

  static void fields(auto& a, auto& f) {
    f.required("channels", a.channels, 1);
    f.optional("stride", a.stride, 1);
  }
  void infer(Inference& i) const;
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 0, 0, 2 * s.out, s.out + s.in);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  [[nodiscard]] kernels::SubsamplePadShape layer(const BatchedInputs& in) const {
    return {in.image(), channels, stride};
  }
  bool operator==(const SubsamplePadOp&) const = default;
};

/// [T,C] -> [C], the first position (BERT's [CLS]).
struct FirstStepOp {
  static constexpr const char* name = "first_step";
  static void fields(auto& /*a*/, auto& /*f*/) {}
  static void infer(Inference& i) { i.output({i.sequence()[1]}); }
  static SampleCosts costs(const Sizes& s) {
    return element_costs(s, 0, 0, 2 * s.out, s.out + s.in);
  }
  static KeptForBackward kept(const Sizes& /*s*/) { return {}; }
  bool operator==(const FirstStepOp&) const = default;
};

}  // namespace paceline
