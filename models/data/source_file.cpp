#include "models/data/source_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <system_error>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::size_t kSmallestPiece = 1 << 12, kLargestPiece = 1 << 20;
constexpr std::size_t kMostBytes = std::size_t{4} << 30;  // all of it is held in memory

struct Close {
  void operator()(gzFile file) const { gzclose(file); }
};

}  // namespace

SourceFile::SourceFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path_, error))
    throw InputError(
        fmt::format("{}: {}", path_.string(),
                    std::filesystem::exists(path_, error) ? "not a regular file" : "no such file"));
  const auto check_size = [&](std::uintmax_t bytes) {
    if (bytes > kMostBytes)
      throw InputError(fmt::format("{}: is larger than 4 GiB", path_.string()));
  };
  const std::uintmax_t packed = std::filesystem::file_size(path_, error);
  check_size(packed);
  const std::size_t piece = std::clamp<std::uintmax_t>(packed, kSmallestPiece, kLargestPiece);
  // zlib hands plain files through unchanged.
  const std::unique_ptr<gzFile_s, Close> file(gzopen(path_.c_str(), "rb"));
  if (!file) throw InputError(fmt::format("{}: cannot be opened", path_.string()));
  while (true) {
    const std::size_t before = bytes_.size();
    check_size(before);
    bytes_.resize(before + piece);
    const int count = gzread(file.get(), bytes_.data() + before, static_cast<unsigned>(piece));
    bytes_.resize(before + static_cast<std::size_t>(std::max(count, 0)));
    int code = Z_OK;
    const char* reason = gzerror(file.get(), &code);
    if (count < 0 || (code != Z_OK && code != Z_STREAM_END))
      fail_at(bytes_.size(),
              fmt::format("unpacking failed: {}",
                          code == Z_BUF_ERROR ? "the compressed file is cut short" : reason));
    if (count == 0) break;
  }
}

const std::uint8_t* SourceFile::take(std::size_t count, const char* what) {
  if (left() < count)
    fail(fmt::format("the file ends within {}: expected {} bytes, found {}", what, count, left()));
  position_ += count;
  return bytes_.data() + position_ - count;
}

std::uint32_t SourceFile::big_endian_32(const char* what) {
  const std::uint8_t* bytes = take(4, what);
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
         std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
}

void SourceFile::fail_at(std::size_t offset, const std::string& reason) const {
  throw InputError(fmt::format("{}: byte {}: {}", path_.string(), offset, reason));
}

std::filesystem::path find_file(const std::filesystem::path& folder,
                                const std::vector<std::string>& names) {
  for (const std::string& name : names)
    for (const char* ending : {"", ".gz"})
      if (std::error_code error; std::filesystem::exists(folder / (name + ending), error))
        return folder / (name + ending);
  throw InputError(fmt::format("{}: no file {} (or .gz) in this folder", folder.string(),
                               fmt::join(names, " or ")));
}

}  // namespace paceline
