#pragma once

#include <filesystem>

#include "base/interrupt.hpp"

namespace paceline {

/// Holds a file or a folder of ours against other processes, by a lock file that is removed at the
/// end: FILE.lock, FOLDER/.lock. On a file system without locks it holds nobody off.
class FileLock {
 public:
  /// Waits a second for another holder: the processes of one that was killed end by themselves.
  /// Throws InputError if `held` cannot be written in, or another process has it; `by` says who
  /// that is: "paceline-calibrate is measuring into it".
  FileLock(const std::filesystem::path& held, std::string_view by);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  std::filesystem::path lock_;
  TemporaryName name_;
  int descriptor_ = -1;
};

}  // namespace paceline
