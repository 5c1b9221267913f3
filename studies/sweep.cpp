#include "studies/sweep.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "experiments/run.hpp"
#include "studies/keeper.hpp"
#include "studies/made_point.hpp"

namespace paceline {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kBatch = 512;               // points in a transaction, at most about
constexpr milliseconds kCommit{200};              // what an end by force may cost
constexpr std::size_t kMostWaiting = 4 * kBatch;  // points that wait to be written

// From the threads to the one that writes.
class Outbox {
 public:
  void put(MadePoint done) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return waiting_.size() < kMostWaiting || closed_; });
    waiting_.push_back(std::move(done));
    if (waiting_.size() >= kBatch) some_.notify_one();
  }
  void worker_ended() {
    const std::lock_guard lock(mutex_);
    ++ended_;
    some_.notify_one();
  }
  /// What has come since the last time, after a while; `last`: all workers have ended.
  std::vector<MadePoint> take(unsigned workers, bool& last) {
    std::unique_lock lock(mutex_);
    some_.wait_for(lock, kCommit, [&] { return waiting_.size() >= kBatch || ended_ == workers; });
    std::vector<MadePoint> taken;
    taken.swap(waiting_);
    last = ended_ == workers;
    room_.notify_all();
    return taken;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    room_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable some_, room_;
  std::vector<MadePoint> waiting_;
  unsigned ended_ = 0;
  bool closed_ = false;
};

class Sweep {
 public:
  Sweep(const Study& study, Store& store, const SweepSettings& settings)
      : study_(study),
        settings_(settings),
        keeper_(study, store, settings),
        claims_(store.keys()) {}

  SweepProgress run() {
    run_on_threads();
    run_in_processes();
    if (failure_) std::rethrow_exception(failure_);
    return keeper_.progress();
  }

 private:
  void run_on_threads();
  void work();
  void run_in_processes();
  bool keep_answer(const ResultKey& key, std::uint64_t number, bool of_point,
                   const std::function<Json()>& answer);
  void failed(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
    stop_ = true;
  }

  const Study& study_;
  const SweepSettings& settings_;
  Keeper keeper_;  // of the writing thread
  Claims claims_;
  Outbox outbox_;
  std::atomic<std::uint64_t> next_ = settings_.first;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // of what follows
  std::exception_ptr failure_;
  // The process that runs one reads it again: it would be large to keep.
  std::vector<StoredPoint> for_processes_;
  bool unwritable_ = false;  // of the writing thread
};

RunResult run_here(const Experiment& experiment) {
  return run_alone(experiment);
}

void Sweep::work() {
  try {
    for (std::uint64_t number = 0; !stop_ && (number = next_++) < study_.combinations();) {
      if (!keeper_.wanted(number)) continue;
      PlannedPoint planned = plan_point(study_, number);
      const bool to_run = planned.experiment && !claims_.was_there(planned.stored.key);
      if (to_run && needs_process(*planned.experiment)) {
        const std::lock_guard lock(mutex_);
        for_processes_.push_back(std::move(planned.stored));
      } else {
        outbox_.put(made_point(std::move(planned), claims_, run_here));
      }
    }
  } catch (...) {
    failed(std::current_exception());
  }
  outbox_.worker_ended();
}

void Sweep::run_on_threads() {
  keep_freed_memory();
  const unsigned workers = std::max(1U, settings_.parallel);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < workers; ++i) threads.emplace_back([this] { work(); });
  for (bool last = false; !last;) {
    std::vector<MadePoint> done = outbox_.take(workers, last);
    try {
      if (!unwritable_) keeper_.keep(std::move(done));
    } catch (...) {  // the disk is full: what waits is lost, and made again
      unwritable_ = true;
      failed(std::current_exception());
      outbox_.close();
    }
  }
  for (std::thread& thread : threads) thread.join();
}

// Of a process of its own. false: no more are to be started.
bool Sweep::keep_answer(const ResultKey& key, std::uint64_t number, bool of_point,
                        const std::function<Json()>& answer) {
  const auto result = [&] {
    try {
      return stored_result(key, result_from_json(answer(), study_.file));
    } catch (const InputError& error) {
      return stored_error(key, error.what());
    }
  };
  try {
    keeper_.keep_result(number, of_point, result());
  } catch (...) {
    failed(std::current_exception());
  }
  return !stop_;
}

void Sweep::run_in_processes() {
  if (stop_ || for_processes_.empty()) return;
  std::sort(for_processes_.begin(), for_processes_.end(),
            [](const StoredPoint& a, const StoredPoint& b) { return a.number < b.number; });
  struct Task {
    std::uint64_t number;
    std::size_t which;  // 0: the point, else its baseline of that number
    ResultKey key;
  };
  std::vector<Task> tasks;
  std::vector<MadePoint> found;
  for (const StoredPoint& point : for_processes_) {
    if (claims_.claim(point.key))
      tasks.push_back({point.number, 0, point.key});
    else
      found.push_back({point, {}, true});
    if (!point.asked) continue;
    for (std::size_t i = 0; i < point.baselines.size(); ++i)
      if (claims_.claim(point.baselines[i]))
        tasks.push_back({point.number, i + 1, point.baselines[i]});
  }
  keeper_.keep(std::move(found));
  keeper_.announce(for_processes_);
  run_isolated(
      tasks.size(),
      [&](std::size_t i) {
        PlannedPoint planned = plan_point(study_, tasks[i].number);
        Experiment& experiment =
            tasks[i].which == 0 ? *planned.experiment : planned.baselines[tasks[i].which - 1];
        share_cores(experiment, settings_.parallel);
        return to_json(run_alone(experiment));
      },
      settings_.parallel,
      [&](std::size_t i, const std::function<Json()>& answer) {
        return keep_answer(tasks[i].key, tasks[i].number, tasks[i].which == 0, answer);
      });
}

}  // namespace

// SimGrid has one engine a process, and a training has threads of its own.
bool needs_process(const Experiment& experiment) {
  if (!experiment.cluster.network.topology.platform_file().empty()) return true;
  if (experiment.network == NetworkEngine::simgrid && experiment.fidelity != Fidelity::closed)
    return true;
  return std::any_of(experiment.jobs.begin(), experiment.jobs.end(),
                     [](const JobDescription& job) { return job.training.has_value(); });
}

SweepProgress sweep(const Study& study, Store& store, const SweepSettings& settings) {
  return Sweep(study, store, settings).run();
}

}  // namespace paceline
