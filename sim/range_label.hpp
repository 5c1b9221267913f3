#pragma once

#include <cstdint>
#include <string>

#include "algorithms/model_shape.hpp"

namespace paceline {

/// A part of the flat parameter vector in words: "layer4.2.conv3.weight", "conv1.weight ..
/// fc.bias", "the whole model".
std::string range_label(const ModelShape& model, std::int64_t offset, std::int64_t elements);

}  // namespace paceline
