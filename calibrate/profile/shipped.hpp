#pragma once

#include <map>
#include <string>
#include <string_view>

namespace paceline {

/// Name -> JSON text of calibrate/profiles/*.json, embedded at build time.
const std::map<std::string, std::string_view>& shipped_profile_texts();

/// "deepbench/conv.csv" -> its text, of the tables of calibrate/data that the program needs,
/// embedded at build time.
const std::map<std::string, std::string_view>& shipped_data_texts();

}  // namespace paceline
