#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_fwd.hpp"
#include "base/object_reader.hpp"

namespace paceline {

/// Parses a file. Throws InputError naming the file and, for malformed text and numbers beyond
/// double, line and column; also for a duplicate key and for more than 200 levels of nesting.
Json load_json(const std::filesystem::path& file);
/// Parses `text`; `name` stands for the file in messages.
Json parse_json(std::string_view text, const std::string& name);
/// A value from the command line: JSON if it is valid JSON, else the text as a string.
Json parse_json_or_text(std::string_view text, const std::string& name);
/// Through `save_file` (base/files.hpp): never half a file, and InputError where that fails.
void save_json(const std::filesystem::path& file, const Json& json);

}  // namespace paceline

// Compiled once, in json_instance.cpp, not in every file that includes this one.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
