#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

/// Ba et al.: per row, h = (x-mean)/sqrt(variance+epsilon) with the biased variance; y = scale*h +
/// shift. With e = dy*scale: dx = (e - mean e - h * mean(e*h)) / sqrt(variance+epsilon); dscale =
/// sum over rows of dy*h, dshift = sum over rows of dy.
template <class T>
std::unique_ptr<BasicLayer<T>> make_layer_norm(const LayerNormShape& shape);

}  // namespace paceline::kernels
