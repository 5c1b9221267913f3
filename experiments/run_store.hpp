#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/file_lock.hpp"
#include "base/json.hpp"
#include "experiments/experiment.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// Finished runs in a folder, one JSON result each, found again by everything that decides what
/// runs: the resolved experiment without its name and description, and without the target accuracy,
/// whose date is found again in the stored evaluations. A run that was stored is never
/// made twice, so a comparison that was killed goes on where it was.
class RunStore {
 public:
  /// Makes the folder and holds it against other processes. Throws InputError if either is not
  /// possible.
  explicit RunStore(std::filesystem::path folder);

  /// Absent also if the file is damaged, or holds another experiment under the same hash.
  [[nodiscard]] std::optional<Json> find(const Experiment& experiment) const;
  /// Through `save_file`: never half a file. Throws InputError where that fails.
  void keep(const Experiment& experiment, const Json& result) const;
  /// "lenet5_cocod-sgd_seed-1_0123456789abcdef.json": the hash is FNV-1a over the experiment.
  [[nodiscard]] std::filesystem::path file_of(const Experiment& experiment) const;

 private:
  std::filesystem::path folder_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace paceline
