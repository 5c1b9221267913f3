#pragma once

#include <utility>
#include <vector>

#include "models/data/random_stream.hpp"

namespace paceline {

/// Fisher and Yates's shuffle; std::shuffle's result differs between libraries.
template <class T>
void shuffle(std::vector<T>& items, RandomStream& random) {
  for (std::size_t i = items.size(); i > 1; --i)
    std::swap(items[i - 1],
              items[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
}

}  // namespace paceline
