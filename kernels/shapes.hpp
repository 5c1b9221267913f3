#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/arrange/arrange.hpp"
#include "kernels/batch_norm/batch_norm.hpp"
#include "kernels/conv2d/conv2d.hpp"
#include "kernels/dense/dense.hpp"
#include "kernels/dropout/dropout.hpp"
#include "kernels/embedding/embedding.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "kernels/lrn/lrn.hpp"
#include "kernels/lstm/lstm.hpp"
#include "kernels/pointwise/pointwise.hpp"
#include "kernels/pool/pool.hpp"
#include "kernels/softmax_loss/softmax_loss.hpp"

namespace paceline::kernels {

/// The one list of layers that we can execute. The shape of a layer is a plain struct that says all
/// a backend must know to make it; `batch` and `rows` count samples. It stands in the layer's
/// folder with all its forms, and has
///   name()                     as in messages and profiles
///   input_dims(), output_dims(), and parameter_dims() if it learns: the learnable tensors, in the
///                              order in which forward() and backward() take them
///   state_elements()           size of ForwardPass::state, if it has one; initial_state(), if that
///                              is not all 0
///   check()                    refuses fields that make no sense
///   make_reference<T>()        reference.cpp: plain loops, and the formula
///   make_onednn()              onednn.cpp; without it the reference runs on row-major arrays
///   make_cuda(Context&)        cuda.cu; without it a GPU refuses the layer
using LayerShape =
    std::variant<Conv2dShape, DenseShape, BatchNormShape, LayerNormShape, PointwiseShape, PoolShape,
                 LrnShape, AddShape, ConcatShape, ReshapeShape, SubsamplePadShape, DropoutShape,
                 EmbeddingShape, LstmShape, SoftmaxLossShape>;

/// "conv2d", "dense", ...: the name of the layer, as in messages and profiles.
std::string layer_name(const LayerShape& shape);
std::vector<Dims> input_dims(const LayerShape& shape);
Dims output_dims(const LayerShape& shape);
/// The learnable tensors, in the order in which forward() and backward() take them.
std::vector<Dims> parameter_dims(const LayerShape& shape);
/// Size of ForwardPass::state; 0 for most layers.
std::int64_t state_elements(const LayerShape& shape);
/// The state before the first step: running variance 1, everything else 0.
std::vector<float> initial_state(const LayerShape& shape);
/// Throws InputError naming the layer and the field that makes no sense (channels not divisible by
/// groups, a window larger than its padded image, a negative extent, ...).
void check_shape(const LayerShape& shape);

}  // namespace paceline::kernels
