#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace paceline {

/// The ways to find the k largest of n that papers and frameworks used. Their costs differ by a
/// factor of 100, which changes what a sparsified schedule is worth, so a result names the one it
/// used.
enum class Selector : std::uint8_t {
  torch_legacy,  ///< torch.topk before 2022: one thread block, t = s n log2 n
  sort,          ///< radix sort of all (key, index) pairs
  radix_select,  ///< two-pass radix select fused with the accumulation
  dgc_sample,    ///< Deep Gradient Compression: threshold from a 1 % sample, then one filter pass
  gaussian_k     ///< threshold from mean and deviation, with up to three corrections
};

inline constexpr std::array<std::string_view, 5> kSelectorNames{
    "torch_legacy", "sort", "radix_select", "dgc_sample", "gaussian_k"};

inline std::vector<std::string> selector_names() {
  return {kSelectorNames.begin(), kSelectorNames.end()};
}
inline std::string to_string(Selector selector) {
  return std::string(kSelectorNames.at(static_cast<std::size_t>(selector)));
}
/// Throws InputError with the nearest name.
inline Selector selector_from_string(std::string_view name) {
  for (std::size_t i = 0; i < kSelectorNames.size(); ++i)
    if (name == kSelectorNames[i]) return static_cast<Selector>(i);
  throw InputError(unknown_name("top-k model", name, selector_names()));
}

}  // namespace paceline
