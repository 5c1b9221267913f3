#include "sim/values/archive.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::uint64_t kPiece = 1 << 16;

using Checksum = std::uint32_t;

unsigned long add_to_checksum(unsigned long checksum, const void* from, std::size_t count) {
  return ::crc32_z(checksum, static_cast<const Bytef*>(from), count);
}

}  // namespace

ArchiveWriter::ArchiveWriter(const std::filesystem::path& file)
    : file_(file), checksum_(::crc32_z(0, nullptr, 0)) {}

void ArchiveWriter::bytes(const void* from, std::size_t count) {
  if (count == 0) return;
  checksum_ = add_to_checksum(checksum_, from, count);
  file_.stream().write(static_cast<const char*>(from), static_cast<std::streamsize>(count));
}

void ArchiveWriter::put(const std::string& text) {
  put<std::uint64_t>(text.size());
  bytes(text.data(), text.size());
}

void ArchiveWriter::finish() {
  const auto checksum = static_cast<Checksum>(checksum_);
  bytes(&checksum, sizeof checksum);
  file_.put_in_place();
}

ArchiveReader::ArchiveReader(std::filesystem::path file)
    : file_(std::move(file)), stream_(std::fopen(file_.c_str(), "rb")) {
  if (!stream_)
    throw InputError(fmt::format("{}: cannot be read: {}", file_.string(), std::strerror(errno)));
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(file_, error);
  if (error || size < sizeof(Checksum)) damaged();
  left_ = size - sizeof(Checksum);
  unsigned long checksum = ::crc32_z(0, nullptr, 0);
  std::vector<char> piece(std::min(left_, kPiece));
  for (std::uint64_t rest = left_; rest > 0;) {
    const std::size_t count = std::min<std::uint64_t>(rest, piece.size());
    if (std::fread(piece.data(), 1, count, stream_.get()) != count) damaged();
    checksum = add_to_checksum(checksum, piece.data(), count);
    rest -= count;
  }
  Checksum expected = 0;
  if (std::fread(&expected, sizeof expected, 1, stream_.get()) != 1 || checksum != expected)
    damaged();
  std::rewind(stream_.get());
}

void ArchiveReader::damaged() const {
  throw InputError(fmt::format(
      "{}: is not a whole checkpoint (cut short or changed: its checksum does not agree); without "
      "this file the one before it is used",
      file_.string()));
}

void ArchiveReader::bytes(void* to, std::size_t count) {
  if (count == 0) return;
  if (count > left_ || std::fread(to, 1, count, stream_.get()) != count) damaged();
  left_ -= count;
}

std::size_t ArchiveReader::count(std::size_t element_bytes) {
  const auto count = get<std::uint64_t>();
  if (count > left_ / element_bytes) damaged();
  return static_cast<std::size_t>(count);
}

std::string ArchiveReader::text() {
  std::string text(count(1), '\0');
  bytes(text.data(), text.size());
  return text;
}

}  // namespace paceline
