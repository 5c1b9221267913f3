#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

template <class T>
std::unique_ptr<BasicLayer<T>> make_dropout(const DropoutShape& shape);

namespace reference {

/// Element i (row-major) is kept if word i%4 of random_words(seed, layer, i/4) is at least
/// round(probability * 2^32).
void dropout_mask(const DropoutShape& shape, std::uint64_t seed, std::vector<bool>& kept);

}  // namespace reference
}  // namespace paceline::kernels
