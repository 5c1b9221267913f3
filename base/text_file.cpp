#include "base/text_file.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/hash.hpp"

namespace paceline {

std::string read_text_file(const std::filesystem::path& file) {
  std::string text = read_file(file, "a text file");
  if (text.starts_with("\x1f\x8b"))
    throw InputError(
        fmt::format("{}: is compressed with gzip; decompress it first (gunzip)", file.string()));
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text;
}

std::string text_hash(std::string_view text) {
  return fmt::format("fnv1a64:{:016x}", fnv1a64(text));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace paceline
