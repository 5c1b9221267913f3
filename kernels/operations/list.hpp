#pragma once

#include <tuple>

#include "kernels/operations/blend.hpp"
#include "kernels/operations/update.hpp"

namespace paceline::kernels {

/// Every pointwise operation. A new one is a struct and its place here.
using PointwiseList =
    std::tuple<Fill, Scale, Axpy, Combine, AddProgress, DelayCompensate, DelayCompensateAdaptive,
               OdSgdLocalUpdate, MaskMomentum, TwoBitQuantize, Sgd, SgdMomentum, AdamW>;
inline constexpr std::size_t kPointwiseCount = std::tuple_size_v<PointwiseList>;

template <class Op, std::size_t I = 0>
constexpr std::size_t index_of() {
  static_assert(I < kPointwiseCount, "the operation is not in PointwiseList");
  if constexpr (std::is_same_v<Op, std::tuple_element_t<I, PointwiseList>>)
    return I;
  else
    return index_of<Op, I + 1>();
}

/// f.operator()<Op>(index) for each.
template <class F>
constexpr void for_each_pointwise(F f) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (f.template operator()<std::tuple_element_t<I, PointwiseList>>(I), ...);
  }
  (std::make_index_sequence<kPointwiseCount>());
}

template <class Op>
inline constexpr OperationInfo kInfo = info_of<Op>();

/// The same without types, in the same order.
inline constexpr auto kPointwiseInfo = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array{kInfo<std::tuple_element_t<I, PointwiseList>>...};
}
(std::make_index_sequence<kPointwiseCount>());

namespace structured {

inline constexpr double kElement = 4;                // bytes of fp32
inline constexpr double kPair = 8;                   // 32-bit index and fp32 value
inline constexpr double kAccumulate = 3 * kElement;  // r += g: reads 8, writes 4

inline constexpr auto kX = names("x");
inline constexpr auto kPairs = names("pairs");
inline constexpr auto kGradientResidual = names("gradient", "residual");
inline constexpr auto kPairsResidual = names("pairs", "residual");
inline constexpr auto kMomentumState = names("gradient", "velocity", "accumulated");
inline constexpr auto kMomentumSent = names("pairs", "velocity", "accumulated");
inline constexpr auto kCodes = names("codes");
inline constexpr auto kCodesResidual = names("codes", "residual");
inline constexpr auto kBlocks = names("blocks");
inline constexpr auto kTwoBlocks = names("a", "b");
inline constexpr auto kSum = names("sum");
inline constexpr auto kPacked = names("packed");
inline constexpr auto kMQ = names("m", "q");
inline constexpr auto kMP = names("m", "p");
inline constexpr auto kPQ = names("p", "q");
inline constexpr auto kM = names("m");
inline constexpr auto kP = names("p");
inline constexpr auto kQ = names("q");

}  // namespace structured

/// Operations that look at more than one element at a time: reductions, selections, packings,
/// products. Each is a function of Backend, of the same name where it is one call.
inline constexpr auto kStructuredInfo = [] {
  using namespace structured;
  return std::array<OperationInfo, 19>{{
      {"clip_norm", kX, kX, kElement},
      {"top_k", kX, kPairs, kElement, kPair},
      {"error_feedback_top_k", kGradientResidual, kPairsResidual, kAccumulate, kPair},
      {"momentum_top_k", kMomentumState, kMomentumSent, 5 * kElement, kPair},
      {"sort", kGradientResidual, kPairsResidual, kAccumulate + kElement, kPair},
      {"dgc_sample", kGradientResidual, kPairsResidual, kAccumulate + kElement, kPair},
      {"gaussian_k", kGradientResidual, kPairsResidual, kAccumulate + 2 * kElement, kPair},
      {"merge_top_k", kTwoBlocks, kPairs, 0, 3 * kPair},
      {"scatter_add", kBlocks, kSum, 0, kPair + 2 * kElement},
      {"scatter_fresh", kBlocks, kSum, kElement, kPair},
      {"two_bit_dequantize", kCodes, kX, kElement + 0.25},
      {"sign_quantize", kGradientResidual, kCodesResidual, kAccumulate + 0.125},
      {"sign_dequantize", kCodes, kX, kElement + 0.125},
      {"pack_fp16", kX, kPacked, kElement + 2},
      {"unpack_fp16", kPacked, kX, kElement + 2},
      {"low_rank_left", kMQ, kP, kElement},
      {"low_rank_right", kMP, kQ, kElement},
      {"low_rank_reconstruct", kPQ, kM, kElement},
      {"orthonormalize", kP, kP, 2 * kElement},
  }};
}();

inline constexpr std::size_t kOperationCount = kPointwiseCount + kStructuredInfo.size();

/// Every operation, pointwise ones first.
inline constexpr auto kOperations = [] {
  std::array<OperationInfo, kOperationCount> all{};
  for (std::size_t i = 0; i < kPointwiseCount; ++i) all[i] = kPointwiseInfo[i];
  for (std::size_t i = 0; i < kStructuredInfo.size(); ++i)
    all[kPointwiseCount + i] = kStructuredInfo[i];
  return all;
}();

}  // namespace paceline::kernels
