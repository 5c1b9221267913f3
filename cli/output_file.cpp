#include "output_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/error.hpp"

namespace paceline {

namespace fs = std::filesystem;

void check_writable(const std::string& option, const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw InputError(
        fmt::format("{} {}: there is no folder '{}'", option, file.string(), folder.string()));
  if (fs::is_directory(file, error))
    throw InputError(fmt::format("{} {}: is a folder, expected a file", option, file.string()));
  if (::access(folder.c_str(), W_OK) != 0)
    throw InputError(
        fmt::format("{} {}: cannot be written: {}", option, file.string(), std::strerror(errno)));
}

void save_file(const fs::path& file, const std::function<void(std::ostream&)>& write) {
  const fs::path temporary = file.string() + fmt::format(".{}.tmp", ::getpid());
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
