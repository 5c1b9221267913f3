#pragma once

#include <map>
#include <string>
#include <string_view>

namespace paceline {

/// Path below platforms/ ("clusters/reference-star.json") -> text, of the files of
/// platforms/clusters and platforms/parts; embedded at build time.
const std::map<std::string, std::string_view>& shipped_files();

}  // namespace paceline
