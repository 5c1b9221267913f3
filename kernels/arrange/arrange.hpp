#pragma once

#include "kernels/plain.hpp"

// Layers that add up or move elements and learn nothing.
namespace paceline::kernels {

/// y = x_1 + x_2 + ..., from left to right, then ReLU if the shape says so; every dx_i is dy
/// (cleared where ReLU cut).
template <class T>
std::unique_ptr<BasicLayer<T>> make_add(const AddShape& shape);
template <class T>
std::unique_ptr<BasicLayer<T>> make_concat(const ConcatShape& shape);
template <class T>
std::unique_ptr<BasicLayer<T>> make_reshape(const ReshapeShape& shape);
template <class T>
std::unique_ptr<BasicLayer<T>> make_subsample_pad(const SubsamplePadShape& shape);

}  // namespace paceline::kernels
