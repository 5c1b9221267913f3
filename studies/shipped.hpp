#pragma once

#include <map>
#include <string>
#include <string_view>

#include "experiments/shipped.hpp"

namespace paceline {

/// Name -> JSON text of studies/*.json, embedded at build time.
const std::map<std::string, std::string_view>& shipped_studies();

/// The file of that path, else the shipped study of that name, else the shipped experiment, whose "vary" makes it
/// a study. Throws InputError naming the nearest name.
ExperimentText load_study(const std::string& name_or_path);

}  // namespace paceline
