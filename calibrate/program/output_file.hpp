#pragma once

#include <filesystem>

#include "base/file_lock.hpp"
#include "calibrate/profile/profile.hpp"

namespace paceline {

/// The profile file that a measurement goes into. From its construction on it is known to be
/// writable, and no other process of ours writes it.
class OutputFile {
 public:
  /// Throws InputError if the file cannot be written there or another process measures into it.
  explicit OutputFile(std::filesystem::path file);

  void save(const Profile& profile) const { save_profile(file_, profile); }

 private:
  std::filesystem::path file_;
  FileLock lock_;
};

}  // namespace paceline
