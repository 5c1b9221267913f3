#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Sending fewer bits per element. `codes` are packed from the low bits of each word upwards.
namespace paceline::kernels {

constexpr std::size_t two_bit_words(std::size_t n) {
  return (n + 15) / 16;
}
constexpr std::size_t sign_words(std::size_t n) {
  return (n + 31) / 32;
}

namespace reference {

/// TwoBitQuantize (operations/blend.hpp) with what is sent as codes: 0 nothing, 1 plus, 2 minus, 3
/// NaN.
void two_bit_quantize(double threshold, std::span<const float> gradient, std::span<float> residual,
                      std::span<std::uint32_t> codes);
void two_bit_dequantize(double threshold, std::span<const std::uint32_t> codes,
                        std::span<float> values);
/// Sign with error feedback (arXiv 1901.09847): r += g; sends the signs of r and the scale mean
/// |r|, which it returns; r -= scale*sign. Bit 1 is minus; zero counts as plus. A NaN makes the
/// scale NaN.
float sign_quantize(std::span<const float> gradient, std::span<float> residual,
                    std::span<std::uint32_t> codes);
void sign_dequantize(float scale, std::span<const std::uint32_t> codes, std::span<float> values);
/// IEEE binary16, round to nearest even, overflow to infinity, NaN stays NaN.
void pack_fp16(std::span<const float> values, std::span<std::uint16_t> packed);
void unpack_fp16(std::span<const std::uint16_t> packed, std::span<float> values);

}  // namespace reference
}  // namespace paceline::kernels
