#pragma once

#include <exception>
#include <string>

namespace paceline {

class ObjectReader;

/// Reads the key "format" of a file of ours. Throws InputError unless it is `expected`, and says
/// what the file is instead and which option takes it.
void expect_format(ObjectReader& reader, const std::string& expected);

/// What a nlohmann::json::exception says, without its own number.
std::string json_reason(const std::exception& error);

}  // namespace paceline
