#pragma once

#include <map>
#include <string>
#include <string_view>

namespace paceline {

/// Name -> JSON text of calibrate/profiles/*.json; generated at build time by embed_profiles.cmake.
const std::map<std::string, std::string_view>& shipped_profile_texts();

/// "deepbench/conv.csv" -> its text, of the tables of calibrate/data that the program needs;
/// generated at build time by embed_data.cmake.
const std::map<std::string, std::string_view>& shipped_data_texts();

}  // namespace paceline
