#pragma once

#include <cstddef>
#include <cstdint>

namespace paceline {

/// A worker's part of a tensor that is dealt out over all of them.
struct Share {
  std::int64_t first = 0;  ///< inside the tensor, elements
  std::int64_t count = 0;
};

/// Parts as equal as can be, in the order of ranks.
constexpr Share share_of(std::int64_t elements, std::size_t rank, std::size_t workers) {
  const auto border = [=](std::size_t r) {
    return elements * static_cast<std::int64_t>(r) / static_cast<std::int64_t>(workers);
  };
  return {border(rank), border(rank + 1) - border(rank)};
}

}  // namespace paceline
