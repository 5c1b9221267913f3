#include "base/text_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <memory>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/hash.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostText = std::size_t{1} << 30;  // bytes, as of a file that is not packed
constexpr std::string_view kGzip = "\x1f\x8b";

struct EndInflate {
  void operator()(z_stream* stream) const { ::inflateEnd(stream); }
};

// One gzip file after the other, as `cat a.gz b.gz` makes them.
std::string unpacked(const std::string& packed, const std::string& file) {
  const auto fail = [&](std::string_view why) {
    throw InputError(fmt::format("{}: is compressed with gzip, and {}", file, why));
  };
  z_stream stream{};
  if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) fail("cannot be unpacked");
  const std::unique_ptr<z_stream, EndInflate> end(&stream);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  std::array<char, 65536> piece{};
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = piece.size();
    const int code = ::inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END)
      fail(code == Z_BUF_ERROR ? "is cut short" : "is damaged");
    text.append(piece.data(), piece.size() - stream.avail_out);
    if (text.size() > kMostText) fail("is larger than 1 GiB");
    if (code == Z_STREAM_END && (stream.avail_in == 0 || ::inflateReset(&stream) != Z_OK)) break;
  } while (true);
  return text;
}

}  // namespace

std::string read_text_file(const std::filesystem::path& file) {
  std::string text = read_file(file, "a text file");
  if (text.starts_with(kGzip)) text = unpacked(text, file.string());
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
