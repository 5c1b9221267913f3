#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace paceline {

/// base/files.hpp's read_file, unpacked if it is gzip, without a byte-order mark. Throws InputError
/// naming the file if that does, and for what is more than 1 GiB unpacked.
std::string read_text_file(const std::filesystem::path& file);

/// "fnv1a64:..." of a text, to recognise it again.
std::string text_hash(std::string_view text);

/// `text` without surrounding blanks.
std::string_view trimmed(std::string_view text);

}  // namespace paceline
