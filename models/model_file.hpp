#pragma once

#include <filesystem>
#include <string>

#include "base/json_fwd.hpp"
#include "models/graph.hpp"

// The user's own model as JSON, "format": "paceline-model-1", in one of two forms.
//
// The graph, from which everything is inferred (any order; each operation names the ones it reads):
//   {"format": "paceline-model-1", "name": "tiny", "operations": [
//     {"name": "image", "kind": "input", "shape": [3, 32, 32]},
//     {"name": "conv", "kind": "conv2d", "inputs": ["image"], "channels": 16, "kernel": 3,
//     "padding": [1, 1]},
//     {"name": "pool", "kind": "global_avg_pool", "inputs": ["conv"], "output_shape": [16]},
//     {"name": "fc", "kind": "dense", "inputs": ["pool"], "features": 10},
//     {"name": "loss", "kind": "softmax_loss", "inputs": ["fc"]}]}
// Keys beyond "name", "kind", "inputs", "auxiliary" are the kind's attributes (operation.hpp) under
// their own names; "output_shape" is optional and checked.
//
// The tensors, in forward order, for models whose times come from a profile. "flops" and "bytes"
// are those of the forward pass per sample; "repeat" makes "name.0", "name.1", ...:
//   {"format": "paceline-model-1", "name": "wfbp", "tensors": [
//     {"name": "large", "elements": 158740, "repeat": 53},
//     {"name": "fc", "elements": "1M", "flops": "2M", "bytes": "4kB"}]}
namespace paceline {

/// Also a config.json of Hugging Face (hugging_face.hpp), with options: "config.json:seq=512". Throws
/// InputError naming file, JSON path and, for a misspelt name, the nearest valid one.
Model load_model(const std::filesystem::path& file);
/// The same from parsed JSON; `file` stands in messages.
Model read_model(const Json& json, const std::string& file);
/// A shipped model by its name, or what has a '/' or ends in ".json" as a file.
Model find_model(const std::string& name_or_file);
/// read_model(write_model(m)) == m. A model of opaque operations alone is written as tensors.
Json write_model(const Model& model);

}  // namespace paceline
