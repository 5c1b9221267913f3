#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>

namespace paceline {

/// Throws InputError naming the option unless a file can be made there. Asked before the run: a
/// long one must not end in nothing.
void check_writable(const std::string& option, const std::filesystem::path& file);

/// Writes through a temporary file and a rename: never half a file. Throws std::runtime_error.
void save_file(const std::filesystem::path& file, const std::function<void(std::ostream&)>& write);
void save_text(const std::filesystem::path& file, const std::string& text);

}  // namespace paceline
