#include "calibrate/text_file.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <fstream>
#include <sstream>

#include "base/error.hpp"

namespace paceline {

std::string read_text_file(const std::filesystem::path& file) {
  const auto refuse = [&](const char* why) {
    throw InputError(fmt::format("{}: {}", file.string(), why));
  };
  std::error_code error;
  if (!std::filesystem::exists(file, error)) refuse("there is no such file");
  if (std::filesystem::is_directory(file, error)) refuse("expected a file, found a folder");
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse("cannot be read");
  std::ostringstream stream;
  stream << in.rdbuf();
  std::string text = stream.str();
  if (text.starts_with("\x1f\x8b")) refuse("is compressed with gzip; decompress it first (gunzip)");
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text;
}

std::string text_hash(std::string_view text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211u;
  }
  return fmt::format("fnv1a64:{:016x}", hash);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace paceline
