#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace paceline {

/// Name -> JSON text of experiments/*.json, embedded at build time.
const std::map<std::string, std::string_view>& shipped_experiments();

/// An experiment's JSON and what it is called in messages.
struct ExperimentText {
  Json json;
  std::string file;
};

/// The file of that path, else the shipped experiment of that name. Of a result file
/// ("paceline-result-1") the experiment that it carries. Throws InputError naming the nearest name.
ExperimentText load_experiment(const std::string& name_or_path);

}  // namespace paceline
