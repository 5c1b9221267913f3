#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

// What an operation is: one type, its name, what it reads and writes, and the function that host
// and device compile alike. The list of them (list.hpp) makes everything else: the loops of the
// backends, the rows of calibration, prices, reference tests and benchmarks.

#ifdef __CUDACC__
#define PACELINE_DEVICE __host__ __device__
#else
#define PACELINE_DEVICE
#endif

namespace paceline::kernels {

/// A parameter of an operation: given in double, rounded to float once, used as float.
class Parameter {
 public:
  PACELINE_DEVICE constexpr Parameter(double value)
      : value_(static_cast<float>(value)) {}                           // NOLINT
  PACELINE_DEVICE constexpr operator float() const { return value_; }  // NOLINT

 private:
  float value_;
};

using Names = std::span<const std::string_view>;

/// What is known of an operation without its type: `name` is the one in profiles, results and
/// traces. The bytes are the least that it moves in fp32 per element and per (index, value) pair.
struct OperationInfo {
  std::string_view name;
  Names reads, writes;
  double bytes_per_element = 0, bytes_per_pair = 0;

  [[nodiscard]] constexpr double least_bytes(double elements, double pairs = 0) const {
    return bytes_per_element * elements + bytes_per_pair * pairs;
  }
};

/// The vectors of one call, in the order of the operation's `reads` and `writes`. Pointwise: all of
/// one length, and an output may be the same memory as an input (but not overlap one otherwise).
using Inputs = std::span<const std::span<const float>>;
using Outputs = std::span<const std::span<float>>;

namespace detail {

template <std::size_t>
using FloatOf = float;

template <class Op, std::size_t... I>
constexpr bool takes_floats(std::index_sequence<I...>) {
  return std::is_invocable_v<const Op&, FloatOf<I>...>;
}

}  // namespace detail

/// Element i of every output depends on element i of every input alone: `float operator()(float
/// ...)`, or an aggregate of floats for several outputs, in the order of `writes`. No state;
/// the parameters travel by value. Op{} is the operation with customary ones.
template <class Op>
concept Pointwise = std::is_trivially_copyable_v<Op> && std::default_initializable<Op> && requires {
  { Op::name } -> std::convertible_to<std::string_view>;
  { Op::reads.size() } -> std::convertible_to<std::size_t>;
  { Op::writes.size() } -> std::convertible_to<std::size_t>;
} && detail::takes_floats<Op>(std::make_index_sequence<Op::reads.size()>());

/// `bytes_per_element` where a device moves other than 4 bytes a value (codes of a quantiser), else
/// from the numbers of reads and writes.
template <class Op>
constexpr OperationInfo info_of() {
  double bytes = 4.0 * static_cast<double>(Op::reads.size() + Op::writes.size());
  double pairs = 0;
  if constexpr (requires { Op::bytes_per_element; }) bytes = Op::bytes_per_element;
  if constexpr (requires { Op::bytes_per_pair; }) pairs = Op::bytes_per_pair;
  return {Op::name, Op::reads, Op::writes, bytes, pairs};
}

/// y[0..writes) = op(x[0..reads)): one element, on host or device.
template <Pointwise Op>
PACELINE_DEVICE inline void apply_to_element(const Op& op, const float* x, float* y) {
  const auto result = [&]<std::size_t... I>(std::index_sequence<I...>) {
    return op(x[I]...);
  }
  (std::make_index_sequence<Op::reads.size()>());
  static_assert(Op::writes.size() >= 1 && Op::writes.size() <= 3);
  if constexpr (Op::writes.size() == 1) {
    y[0] = result;
  } else if constexpr (Op::writes.size() == 2) {
    const auto& [a, b] = result;
    y[0] = a, y[1] = b;
  } else {
    const auto& [a, b, c] = result;
    y[0] = a, y[1] = b, y[2] = c;
  }
}

/// What an operation reads and writes, by name.
template <class... Text>
constexpr std::array<std::string_view, sizeof...(Text)> names(Text... text) {
  return {std::string_view(text)...};
}

}  // namespace paceline::kernels
