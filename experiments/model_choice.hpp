#pragma once

#include <string>

#include "base/object_reader.hpp"
#include "experiments/experiment.hpp"

namespace paceline {

/// A file's name, not one of what is shipped.
bool looks_like_path(const std::string& name);
/// A path in an experiment is first looked for beside the experiment's file; names stay names.
std::string located(const std::string& name, const std::string& file);
/// "model": a name of the zoo with options, a path, or a model itself. Throws InputError.
void read_model_choice(ObjectReader& r, JobDescription& job);

}  // namespace paceline
