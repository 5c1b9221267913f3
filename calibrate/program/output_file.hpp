#pragma once

#include <filesystem>

#include "calibrate/profile/profile.hpp"

namespace paceline {

/// The profile file that a measurement goes into. From its construction on it is known to be
/// writable, and no other process of ours writes it: FILE.lock is held, and removed at the end.
class OutputFile {
 public:
  /// Throws InputError if the file cannot be written there or another process measures into it.
  explicit OutputFile(std::filesystem::path file);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void save(const Profile& profile) const { save_profile(file_, profile); }

 private:
  std::filesystem::path file_, lock_;
  int descriptor_ = -1;
};

}  // namespace paceline
