#include "studies/shipped.hpp"

#include <filesystem>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"

namespace paceline {

ExperimentText load_study(const std::string& name_or_path) {
  std::error_code ignored;
  const bool path = name_or_path.ends_with(".json") ||
                    name_or_path.find('/') != std::string::npos ||
                    std::filesystem::exists(name_or_path, ignored);
  if (const auto shipped = shipped_studies().find(name_or_path);
      !path && shipped != shipped_studies().end())
    return {parse_json(shipped->second, name_or_path), name_or_path};
  if (path || shipped_experiments().contains(name_or_path)) return load_experiment(name_or_path);
  std::vector<std::string> names;
  for (const auto& [name, text] : shipped_studies()) names.push_back(name);
  for (const auto& [name, text] : shipped_experiments()) names.push_back(name);
  throw InputError(unknown_name("study", name_or_path, names) +
                   " (or give the path of a study's file)");
}

}  // namespace paceline
