#pragma once

#include <map>
#include <string>
#include <string_view>

namespace paceline {

/// Name -> JSON text of cli/schema/*.json, embedded at build time: files in which every key of their formats
/// stands once.
const std::map<std::string, std::string_view>& schema_examples();

}  // namespace paceline
