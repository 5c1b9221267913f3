#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

template <class T>
std::unique_ptr<BasicLayer<T>> make_batch_norm(const BatchNormShape& shape);

namespace reference {

/// Per channel over batch, height and width: mean, and biased variance (divided by the count).
template <class T>
void batch_statistics(const ImageShape& shape, const T* x, T* mean, T* variance);
/// Ioffe & Szegedy's running statistics as PyTorch keeps them: running = (1-momentum)*running +
/// momentum*batch, the variance made unbiased by count/(count-1). Count 1: the variance is left
/// alone.
template <class T>
void update_running_statistics(const BatchNormShape& shape, const T* mean, const T* variance,
                               T* running);
/// y = scale * (x-mean)/sqrt(variance+epsilon) + shift, then ReLU if the shape says so.
template <class T>
void batch_norm(const BatchNormShape& shape, const T* x, const T* mean, const T* variance,
                const T* scale, const T* shift, T* y);
/// With h = (x-mean)/sqrt(variance+epsilon) and dy cleared where ReLU cut: dshift = sum dy, dscale
/// = sum dy*h, dx = scale/sqrt(variance+epsilon) * (dy - dshift/count - h*dscale/count). dx may be
/// null.
template <class T>
void batch_norm_gradient(const BatchNormShape& shape, const T* x, const T* y, const T* dy,
                         const T* mean, const T* variance, const T* scale, T* dx, T* dscale,
                         T* dshift);

}  // namespace reference
}  // namespace paceline::kernels
