#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.hpp"
#include "models/graph.hpp"

namespace paceline {

/// The layer that executes operation `index` for `batch` samples, its first input lying in memory
/// with extents `input`. Not for input and flatten, which compute nothing. Throws InputError naming
/// model and operation if no layer does (attention, first_step, opaque) or if the layer refuses the
/// attributes.
kernels::LayerShape layer_shape(const Model& model, std::size_t index, std::int64_t batch,
                                const kernels::Dims& input);

}  // namespace paceline
