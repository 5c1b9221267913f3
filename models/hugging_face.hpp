#pragma once

#include "base/json_fwd.hpp"
#include "models/graph.hpp"
#include "models/model_options.hpp"

namespace paceline {

/// Whether it is a model's config.json as Hugging Face writes it: it has a "model_type".
bool is_hugging_face_config(const Json& json);

/// The network of a config.json: gpt2; llama, mistral, qwen2; bert, roberta, distilbert; vit; t5.
/// The head is that of "architectures", else the one for training as a language model (classifying,
/// vit). `asked.name` is the file; its option seq sets the tokens of a sample (else the longest
/// sequence that the config allows, 2048 at most), of vit image the size of the images. Keys that
/// decide nothing about sizes are not read. Throws InputError "file: $.key: ..." for other families
/// and heads, and for what is missing.
Model read_hugging_face_config(const Json& json, const NamedOptions& asked);

}  // namespace paceline
