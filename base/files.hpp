#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

namespace paceline {

/// The bytes of a regular file of at most 1 GiB. Throws InputError "<file>: ..." with the system's
/// reason, and for what is no file of data: a folder, a device, a pipe. `kind` says in the message
/// what was expected: "a JSON file".
std::string read_file(const std::filesystem::path& file, std::string_view kind = "a file");

/// Throws InputError naming the option unless `save_file` can write there. Asked before long work,
/// which must not end in nothing.
void check_writable(const std::string& option, const std::filesystem::path& file);

/// Calls `write` and puts what it wrote in the place of `file` at once, through a temporary file
/// beside it and a rename: never half a file, and after an error the old one. Symbolic links stay
/// and their target is replaced; owner and permissions stay. What is a character device or a pipe
/// is written to as it stands. Throws InputError "<file>: cannot be written: <reason>", also for a
/// read-only file.
void save_file(const std::filesystem::path& file, const std::function<void(std::ostream&)>& write);
void save_text(const std::filesystem::path& file, std::string_view text);

}  // namespace paceline
