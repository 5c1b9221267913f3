#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/operations/call.hpp"

// Operations that the host computes, most of them because every output depends on all of an input.
// A backend with memory of its own has the vectors copied there and back.
namespace paceline::kernels {

/// A function of whole vectors on the host, and the least bytes that a device would move for it.
template <class Op>
concept WholeVector = requires(const Op& op, Inputs in, Outputs out) {
  { Op::name } -> std::convertible_to<std::string_view>;
  { Op::reads.size() } -> std::convertible_to<std::size_t>;
  { Op::writes.size() } -> std::convertible_to<std::size_t>;
  { op.least_bytes(1.0) } -> std::convertible_to<double>;
  op(in, out);
};

/// Runs `f` on vectors of any backend.
Call::Run on_host(std::function<void(Inputs in, Outputs out)> f);

template <class Op>
concept Operation = Pointwise<Op> || WholeVector<Op>;

template <class Op>
inline constexpr bool kListed = []<class... Listed>(std::type_identity<std::tuple<Listed...>>) {
  return (std::is_same_v<Op, Listed> || ...);
}(std::type_identity<PointwiseList>());

/// A pointwise operation that does not stand in PointwiseList has no kernels: the host computes it,
/// element by element.
template <Operation Op>
Call call_of(const Op& op) {
  if constexpr (kListed<Op>) {
    return Call(op);
  } else if constexpr (Pointwise<Op>) {
    return Call(kInfo<Op>, on_host([op](Inputs in, Outputs out) {
                  float x[Op::reads.size() + 1], y[Op::writes.size()];
                  for (std::size_t i = 0; i < out.front().size(); ++i) {
                    for (std::size_t r = 0; r < in.size(); ++r) x[r] = in[r][i];
                    apply_to_element(op, x, y);
                    for (std::size_t w = 0; w < out.size(); ++w) out[w][i] = y[w];
                  }
                }));
  } else {
    return Call(kInfo<Op>, on_host(op));
  }
}
template <Operation Op>
double least_bytes(const Op& op, double elements) {
  if constexpr (Pointwise<Op>)
    return kInfo<Op>.least_bytes(elements);
  else
    return op.least_bytes(elements);
}

/// Floats of `bits` bits without mantissa, relative to the largest magnitude (4 bits: E3M0, as
/// Streaming DiLoCo sends: Douillard et al., arXiv 2501.18512): sign, and max 2^-j or zero. What is
/// no number stays none. The sender reads x for its maximum and once more, writes and the receiver
/// reads the codes; `sent` is what arrives.
struct PowerOfTwoQuantize {
  static constexpr std::string_view name = "power_of_two_quantize";
  static constexpr auto reads = names("x");
  static constexpr auto writes = names("sent");
  double bits;

  [[nodiscard]] double least_bytes(double elements) const {
    return elements * (3 * 4 + 2 * bits / 8);
  }
  void operator()(Inputs in, Outputs out) const {
    const float smallest = std::exp2(2 - std::exp2(static_cast<float>(bits) - 1));
    float most = 0;
    for (const float value : in[0]) most = std::max(most, std::abs(value));
    for (std::size_t i = 0; i < in[0].size(); ++i) {
      const float value = in[0][i];
      const float size = most > 0 ? std::abs(value) / most : 0;
      float code = size < smallest / 2 ? 0 : std::exp2(std::round(std::log2(size)));
      if (code > 0) code = std::max(code, smallest);
      out[0][i] = value == value ? std::copysign(code * most, value) : value;
    }
  }
};

}  // namespace paceline::kernels
