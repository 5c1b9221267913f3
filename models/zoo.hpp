#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/graph.hpp"

namespace paceline {

/// A network of the literature. `name` is what files and options say; case, '-', '_' and blanks do
/// not matter
/// ("ResNet-50" is "resnet50").
struct ModelInfo {
  std::string name;
  std::string title;
  std::string notes;  ///< source and variant: heads, shortcuts, biases, ties, sequence length
};

std::vector<ModelInfo> model_infos();
std::vector<std::string> model_names();
/// Throws InputError with the nearest name.
Model make_model(std::string_view name);

}  // namespace paceline
