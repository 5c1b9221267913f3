#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/files.hpp"

namespace paceline {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// Numbers as this machine holds them, one after the other, with a CRC-32 of all at the end.
/// Put in its place by finish() (ReplacedFile), so that under this name there is always a whole file
/// or none. Throws InputError if it cannot be written.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(const std::filesystem::path& file);

  void bytes(const void* from, std::size_t count);
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes(&value, sizeof value);
  }
  template <class T>
  void put(const std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    put<std::uint64_t>(values.size());
    bytes(values.data(), values.size() * sizeof(T));
  }
  void put(const std::string& text);
  /// Puts the file in its place once it is on the disk.
  void finish();

 private:
  ReplacedFile file_;
  unsigned long checksum_;
};

/// Reads what ArchiveWriter has written.
class ArchiveReader {
 public:
  /// Reads the whole file once for its checksum. Throws InputError naming the file if it cannot be
  /// read, was cut short or changed.
  explicit ArchiveReader(std::filesystem::path file);

  void bytes(void* to, std::size_t count);
  template <class T>
  [[nodiscard]] T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    bytes(&value, sizeof value);
    return value;
  }
  template <class T>
  void get(std::vector<T>& values) {
    static_assert(std::is_trivially_copyable_v<T>);
    values.resize(count(sizeof(T)));
    bytes(values.data(), values.size() * sizeof(T));
  }
  [[nodiscard]] std::string text();
  [[nodiscard]] const std::filesystem::path& file() const { return file_; }
  [[nodiscard]] bool at_end() const { return left_ == 0; }

 private:
  [[nodiscard]] std::size_t count(std::size_t element_bytes);
  [[noreturn]] void damaged() const;

  std::filesystem::path file_;
  File stream_;
  std::uint64_t left_ = 0;  // bytes before the checksum
};

}  // namespace paceline
