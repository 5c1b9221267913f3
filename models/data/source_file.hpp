#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace paceline {

/// A whole data file in memory, unpacked if it is gzip (by its magic number, whatever its name),
/// read from front to back. Every error is an InputError "<file>: byte <offset>: <reason>".
class SourceFile {
 public:
  explicit SourceFile(std::filesystem::path path);

  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return size() - position_; }
  /// The next bytes; `what` they are is named if the file ends before.
  const std::uint8_t* take(std::size_t count, const char* what);
  std::uint32_t big_endian_32(const char* what);
  [[nodiscard]] const std::uint8_t* data() const { return bytes_.data(); }
  /// At the current position, or at another one.
  [[noreturn]] void fail(const std::string& reason) const { fail_at(position_, reason); }
  [[noreturn]] void fail_at(std::size_t offset, const std::string& reason) const;

 private:
  std::filesystem::path path_;
  std::vector<std::uint8_t> bytes_;
  std::size_t position_ = 0;
};

/// The first of `names`, each also tried with ".gz", that exists in `folder`. Throws InputError
/// that lists them.
std::filesystem::path find_file(const std::filesystem::path& folder,
                                const std::vector<std::string>& names);

}  // namespace paceline
