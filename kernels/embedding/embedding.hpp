#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// y[i,:] = table[token i,:]; the gradient of the table sums the rows of dy in order of i. Tokens
/// get no gradient. Throws InputError at a token that is not a whole number in [0, entries).
template <class T>
std::unique_ptr<BasicLayer<T>> make_embedding(const EmbeddingShape& shape);

}  // namespace paceline::kernels
