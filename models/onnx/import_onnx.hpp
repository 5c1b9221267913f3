#pragma once

#include <string_view>

#include "models/graph.hpp"
#include "models/model_options.hpp"

namespace paceline {

/// The network of an ONNX file, `asked.name` in messages. Weights need no data. The first dimension of every input is the
/// batch; options give extents that the file leaves open, by their names there (`seq`, `image` where they have none).
/// Softmax(Q K^T) V is one attention, whatever scales, masks and drops out in between; views move nothing. An element-wise
/// operator that no operation of ours stands for is priced by its bytes, and counted in Model::notes. What changes shapes in a
/// way that is not known, runs sub-graphs or reads weights in an unusual place throws InputError naming all such operators.
/// A softmax loss stands at each output that is a classification (linear).
Model import_onnx(std::string_view bytes, const NamedOptions& asked);

}  // namespace paceline
