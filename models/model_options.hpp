#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace paceline {

/// "bert-large:seq=64:vocab=30k": a model's name, or file, and whole numbers by key.
struct NamedOptions {
  std::string name;
  std::map<std::string, std::int64_t> options;
};

/// Throws InputError for an option that is not KEY=NUMBER, or stands twice.
NamedOptions split_options(std::string_view text);
/// ":seq=64:vocab=30000", as split_options reads it; "" for none.
std::string options_text(const std::map<std::string, std::int64_t>& options);

}  // namespace paceline
