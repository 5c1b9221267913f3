#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace paceline {

/// The whole of a text file, without a byte-order mark. Throws InputError naming the file if it is
/// not there, is a folder or is compressed.
std::string read_text_file(const std::filesystem::path& file);

/// "fnv1a64:..." of a text, to recognise it again.
std::string text_hash(std::string_view text);

/// `text` without surrounding blanks.
std::string_view trimmed(std::string_view text);

}  // namespace paceline
