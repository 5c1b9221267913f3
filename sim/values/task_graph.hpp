#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "sim/values/checkpoint_state.hpp"

namespace paceline {

/// Work on values that runs on the host's cores beside the simulation: tasks with dependencies. The
/// simulated clock's thread posts; which thread runs a task, and when, never changes a result,
/// because every task that reads or writes the same memory as another is ordered after it.
class TaskGraph {
 public:
  class Task;
  using Ref = std::shared_ptr<Task>;

  /// Told on the clock's thread before each task is posted.
  class Observer {
   public:
    virtual void posting() = 0;

   protected:
    ~Observer() = default;
  };

  /// `threads` = 0: a task runs inside post(), before it returns. Throws InputError if the system
  /// does not make so many.
  explicit TaskGraph(std::size_t threads);
  ~TaskGraph();

  /// Runs `work` once all of `after` (null entries are ignored) are done. Blocks while too many
  /// tasks are open, so that the simulation cannot run far ahead of the values. Throws what an
  /// earlier task has thrown.
  Ref post(std::function<void()> work, std::vector<Ref> after);
  /// A number that the simulation goes by: `read` once `task` is done. Goes into the checkpoint's log,
  /// from which a repeated run takes it.
  double take(const Ref& task, const std::function<double()>& read);
  void wait(const Ref& task);  ///< null: returns at once; throws what a task has thrown
  void wait_all();
  void drain() noexcept;  ///< waits without throwing
  [[nodiscard]] std::size_t threads() const { return threads_; }

  /// All memory that tasks write comes from here.
  [[nodiscard]] CheckpointState& state() { return state_; }
  [[nodiscard]] std::uint64_t posted() const { return posted_; }  ///< tasks so far
  void observe(Observer* observer) { observer_ = observer; }      ///< null: nobody
  /// While true, tasks count as done without being run: their results are filled in later.
  void set_skipping(bool on) { skipping_ = on; }

 private:
  void run(Ref task);
  void work_on(Task& task);
  std::vector<Ref> finish(Task& task);  ///< those that only waited for it

  std::size_t threads_;
  CheckpointState state_;
  Observer* observer_ = nullptr;
  std::uint64_t posted_ = 0;
  bool skipping_ = false;
  Ref skipped_;  // stands for all of them
  class Pool;
  std::unique_ptr<Pool> pool_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t open_ = 0;
  const Task* awaited_ = nullptr;  // by the clock's thread
  std::exception_ptr failure_;
};

class TaskGraph::Task {
 private:
  friend class TaskGraph;
  std::function<void()> work_;
  std::vector<Ref> successors_;
  std::size_t missing_ = 0;  // dependencies not done
  bool done_ = false;
};

/// Tasks of one worker, one after the other in the order of the calls.
class Strand {
 public:
  explicit Strand(TaskGraph& graph) : graph_(&graph) {}
  TaskGraph::Ref post(std::function<void()> work, std::vector<TaskGraph::Ref> after = {});
  /// The next task also waits for `task` (somebody else reads this worker's memory until then).
  void hold(const TaskGraph::Ref& task) { held_.push_back(task); }
  [[nodiscard]] const TaskGraph::Ref& last() const { return last_; }
  [[nodiscard]] TaskGraph& graph() const { return *graph_; }

 private:
  TaskGraph* graph_;
  TaskGraph::Ref last_;
  std::vector<TaskGraph::Ref> held_;
};

}  // namespace paceline
