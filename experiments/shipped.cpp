#include "experiments/shipped.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

ExperimentText find_experiment(const std::string& name) {
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) return {load_json(name), name};
  if (const auto shipped = shipped_experiments().find(name); shipped != shipped_experiments().end())
    return {parse_json(shipped->second, name), name};
  if (name.ends_with(".json") || name.find('/') != std::string::npos)
    return {load_json(name), name};
  std::vector<std::string> names;
  for (const auto& [known, text] : shipped_experiments()) names.push_back(known);
  throw InputError(unknown_name("experiment", name, names) +
                   " (or give the path of an experiment file)");
}

}  // namespace

ExperimentText load_experiment(const std::string& name_or_path) {
  ExperimentText found = find_experiment(name_or_path);
  if (found.json.is_object() && found.json.value("format", Json()) == "paceline-result-1" &&
      found.json.contains("experiment"))
    found.json = Json(found.json.at("experiment"));
  return found;
}

}  // namespace paceline
