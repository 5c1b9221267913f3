#pragma once

#include "kernels/plain.hpp"

namespace paceline::kernels {

template <class T>
std::unique_ptr<BasicLayer<T>> make_conv2d(const Conv2dShape& shape);

namespace reference {

/// y[n,m,i,j] = bias[m] + sum over c,u,v of weight[m,c,u,v] * x[n, c + group(m), i*stride-pad+u,
/// j*stride-pad+v], x being zero outside the image (what others call cross-correlation). `bias` may
/// be null.
template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* weight, const T* bias, T* y);
/// dx = the adjoint of conv2d in x, applied to dy.
template <class T>
void conv2d_input_gradient(const Conv2dShape& shape, const T* weight, const T* dy, T* dx);
/// Gradients of weight and, unless null, bias.
template <class T>
void conv2d_parameter_gradient(const Conv2dShape& shape, const T* x, const T* dy, T* dweight,
                               T* dbias);

}  // namespace reference
}  // namespace paceline::kernels
