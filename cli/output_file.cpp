#include "output_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.hpp"

namespace paceline {

namespace fs = std::filesystem;

namespace {

fs::path temporary_of(const fs::path& file) {
  return file.string() + fmt::format(".{}.tmp", ::getpid());
}

}  // namespace

void check_writable(const std::string& option, const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError(
        fmt::format("{} {}: there is no folder '{}'", option, file.string(), folder.string()));
  if (fs::is_directory(file, error))
    throw InputError(fmt::format("{} {}: is a folder, expected a file", option, file.string()));
  // Tried, not asked for: root may write everywhere, and still not in /proc.
  const fs::path temporary = temporary_of(file);
  errno = 0;
  if (!std::ofstream(temporary))
    throw InputError(
        fmt::format("{} {}: cannot be written: {}", option, file.string(), std::strerror(errno)));
  fs::remove(temporary, error);
}

void save_file(const fs::path& file, const std::function<void(std::ostream&)>& write) {
  const fs::path temporary = temporary_of(file);
  std::ofstream stream(temporary, std::ios::binary);
  write(stream);
  stream.close();
  if (!stream) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw std::runtime_error(fmt::format("{}: cannot be written", file.string()));
  }
  fs::rename(temporary, file);
}

void save_text(const fs::path& file, const std::string& text) {
  save_file(file, [&](std::ostream& stream) { stream << text; });
}

}  // namespace paceline
