#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/file_lock.hpp"
#include "base/json_fwd.hpp"
#include "sim/values/archive.hpp"
#include "sim/values/task_graph.hpp"

namespace paceline {

/// How often a run with values is saved, and where.
struct CheckpointOptions {
  std::filesystem::path folder;
  double every_s = 0;             ///< of this machine's time; 0: never
  std::int64_t every_steps = 0;   ///< of the first job's slowest worker; 0: never
  std::uint64_t every_tasks = 0;  ///< tasks on values; 0: never
  std::size_t keep = 2;           ///< the latest ones
  bool resume = false;            ///< go on from the latest one in the folder, if there is one
  OwnedJson identity;             ///< a checkpoint of another identity is refused
  std::function<void(const std::string&)> note;  ///< told what the user may want to know
};

/// A checkpoint to go on from: its file, checked, and read as far as what comes before the values.
class SavedRun {
 public:
  explicit SavedRun(const std::filesystem::path& file);

  [[nodiscard]] const Json& identity() const { return *identity_; }
  /// Why the run had left closed fidelity; "" if it had not.
  [[nodiscard]] const std::string& contention() const { return contention_; }
  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }  ///< on values, all done
  [[nodiscard]] std::int64_t step() const { return step_; }     ///< all workers have passed it
  [[nodiscard]] double date_s() const { return date_s_; }       ///< ... at this date
  [[nodiscard]] ArchiveReader& rest() { return archive_; }

 private:
  ArchiveReader archive_;
  OwnedJson identity_;
  std::string contention_;
  std::uint64_t tasks_ = 0;
  std::int64_t step_ = 0;
  double date_s_ = 0;
};

/// If the folder has some: what an interruption from here on says.
void note_checkpoints(const std::filesystem::path& folder);

/// Makes the folder and holds it against other processes. Throws InputError if either cannot be.
std::unique_ptr<FileLock> hold_checkpoints(const CheckpointOptions& options);

/// What the run is to go on from; null: it begins. Throws InputError if the latest checkpoint is damaged or of another run, or if there is one and the run
/// is not to go on from it.
std::unique_ptr<SavedRun> find_saved_run(const CheckpointOptions& options);

/// Saves a run between two tasks on values, or repeats one without values up to that place and
/// fills them in. The place is counted in tasks: the simulation posts the same ones each time, so
/// the programs, their frames and all that is under way need not be saved.
class Checkpointer final : public TaskGraph::Observer {
 public:
  /// Before anything is posted. `contention`: see SavedRun. `saved`: null to begin at the
  /// beginning.
  Checkpointer(const CheckpointOptions& options, TaskGraph& graph, std::string contention,
               std::unique_ptr<SavedRun> saved);
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;
  ~Checkpointer();

  /// All workers of the first job have passed `step`.
  void border(std::int64_t step, double date_s);
  void posting() override;
  /// At the end of the run. Throws std::logic_error if the saved place did not come.
  void ended() const;

 private:
  using SteadyClock = std::chrono::steady_clock;

  void save();
  void save_as(const std::filesystem::path& file);
  void wait_for_next();

  const CheckpointOptions& options_;
  TaskGraph& graph_;
  std::string contention_;
  std::unique_ptr<SavedRun> saved_;  // until its place has come
  std::uint64_t next_file_ = 1;
  std::int64_t step_ = 0, next_step_ = 0;
  double date_s_ = 0;
  std::uint64_t next_task_ = 0;
  SteadyClock::time_point next_time_;
};

}  // namespace paceline
