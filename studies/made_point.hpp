#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "experiments/experiment.hpp"
#include "studies/store.hpp"

namespace paceline {

/// A point made ready: what it needs beside itself, and where its results go.
struct PlannedPoint {
  StoredPoint stored;
  std::optional<Experiment> experiment;  ///< absent: it cannot be read
  std::vector<Experiment> baselines;     ///< only those that are asked for
  std::string error;                     ///< why it cannot be read
};
PlannedPoint plan_point(const Study& study, std::uint64_t number);

/// A point as somebody made it, and what came beside it.
struct MadePoint {
  StoredPoint point;
  std::vector<StoredResult> results;
  bool found = false;  ///< its own result was there
};

/// Which results are there or on their way; shared by threads.
class Claims {
 public:
  explicit Claims(const std::vector<ResultKey>& there)
      : there_(there.begin(), there.end()), claimed_(there_) {}
  /// Whether it is the caller's to make.
  bool claim(const ResultKey& key) {
    const std::lock_guard lock(mutex_);
    return claimed_.insert(key).second;
  }
  [[nodiscard]] bool was_there(const ResultKey& key) const { return there_.contains(key); }

 private:
  struct Hash {
    std::size_t operator()(const ResultKey& key) const {
      std::size_t hash = 0;
      std::memcpy(&hash, key.data(), sizeof hash);
      return hash;
    }
  };
  using Keys = std::unordered_set<ResultKey, Hash>;
  const Keys there_;
  std::mutex mutex_;
  Keys claimed_;
};

/// Makes of a point what is the caller's to make, by `run`: an experiment that it throws InputError for is kept as such.
MadePoint made_point(PlannedPoint planned, Claims& claims,
                     const std::function<RunResult(const Experiment&)>& run);

/// Side by side, trainings with all cores each would only disturb one another.
void share_cores(Experiment& experiment, unsigned side_by_side);

/// A point is made of many small blocks that all go when it is done. What each thread gives back to the system it would
/// get back at the next one, page by page, with the other threads stopped meanwhile: half a millisecond a point.
void keep_freed_memory();

/// Points as bytes, for another process of the same program, with the seconds they took and why the next one could not
/// be made (empty: it could).
struct MadePoints {
  std::vector<MadePoint> points;
  double seconds = 0;
  std::string failed;
};
std::string packed(const MadePoints& made);
MadePoints unpacked(const std::string& bytes);
std::string packed(const std::vector<ResultKey>& keys);
std::vector<ResultKey> unpacked_keys(const std::string& bytes);

}  // namespace paceline
