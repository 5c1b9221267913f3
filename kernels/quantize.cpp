#include "kernels/quantize.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/operations/blend.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels::reference {
namespace {

// One residual in, its code out; what is sent leaves the residual.
std::uint32_t two_bit_code(const TwoBitQuantize& quantize, float gradient, float& residual) {
  const auto [sent, rest] = quantize(gradient, residual);
  residual = rest;
  return sent > 0 ? 1 : sent < 0 ? 2 : sent == sent ? 0 : 3;
}

std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  const auto with_sign = [&](std::uint32_t half) {
    return static_cast<std::uint16_t>(sign | half);
  };
  if (magnitude > 0x7F800000u) return with_sign(0x7E00u);
  if (magnitude >= 0x477FF000u) return with_sign(0x7C00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {  // below 2^-14: a subnormal half counts units of 2^-24
    const float units = std::bit_cast<float>(magnitude) * 0x1p24f;
    return with_sign(static_cast<std::uint32_t>(std::nearbyint(units)));
  }
  const std::uint32_t odd = magnitude >> 13 & 1u;
  return with_sign((magnitude - 0x38000000u + 0xFFFu + odd) >> 13);
}

float from_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t{half & 0x8000u} << 16, magnitude = half & 0x7FFFu;
  if (magnitude >= 0x7C00u)
    return std::bit_cast<float>(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);
  if (magnitude < 0x400u) {
    const float units = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(units));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

}  // namespace

void two_bit_quantize(double threshold, std::span<const float> gradient, std::span<float> residual,
                      std::span<std::uint32_t> codes) {
  const TwoBitQuantize quantize{threshold};
  std::fill(codes.begin(), codes.end(), 0u);
  for (std::size_t i = 0; i < gradient.size(); ++i)
    codes[i / 16] |= two_bit_code(quantize, gradient[i], residual[i]) << 2 * (i % 16);
}

void two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                        std::span<float> values) {
  const auto limit = static_cast<float>(threshold);
  const float meaning[4] = {0, limit, -limit, std::numeric_limits<float>::quiet_NaN()};
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = meaning[codes[i / 16] >> 2 * (i % 16) & 3u];
}

float sign_quantize(std::span<const float> gradient, std::span<float> residual,
                    std::span<std::uint32_t> codes) {
  std::fill(codes.begin(), codes.end(), 0u);
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    residual[i] += gradient[i];
    codes[i / 32] |= std::uint32_t{residual[i] < 0} << i % 32;
  }
  if (gradient.empty()) return 0;
  const auto n = static_cast<std::int64_t>(gradient.size());
  const double sum = interleaved_sum<double>(
      n, [&](std::int64_t i) { return double(std::fabs(residual[static_cast<std::size_t>(i)])); });
  const auto scale = static_cast<float>(sum / static_cast<double>(n));
  for (float& r : residual) r -= r < 0 ? -scale : scale;
  return scale;
}

void sign_dequantize(float scale, std::span<const std::uint32_t> codes, std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = codes[i / 32] >> i % 32 & 1u ? -scale : scale;
}

void pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed) {
  std::transform(values.begin(), values.end(), packed.begin(), to_half);
}

void unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values) {
  std::transform(packed.begin(), packed.end(), values.begin(), from_half);
}

}  // namespace paceline::kernels::reference
