#include "studies/sweep.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/version.hpp"
#include "experiments/baseline.hpp"
#include "experiments/run.hpp"

namespace paceline {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kBatch = 512;               // points in a transaction, at most about
constexpr milliseconds kCommit{200};              // what an end by force may cost
constexpr std::size_t kMostWaiting = 4 * kBatch;  // points that wait to be written

struct KeyHash {
  std::size_t operator()(const ResultKey& key) const {
    std::size_t hash = 0;
    std::memcpy(&hash, key.data(), sizeof hash);
    return hash;
  }
};

// One point made ready: what it needs beside itself, and where its results go.
struct Planned {
  StoredPoint stored;
  std::optional<Experiment> experiment;  // absent: it cannot be read
  std::vector<Experiment> baselines;     // only those that are asked for
  std::string error;
};

// What a store holds is of no study: studies share it.
Experiment anonymous(Experiment experiment) {
  experiment.name.clear();
  experiment.description.clear();
  return experiment;
}

Planned plan(const Study& study, std::uint64_t number) {
  Planned planned;
  planned.stored.number = number;
  const StudyPoint point = study.point(number);
  try {
    planned.experiment = anonymous(read_experiment(point.experiment, study.file));
    planned.stored.key = key_of(*planned.experiment);
    const Baseline baseline = baseline_of(*planned.experiment);
    planned.stored.asked = !planned.experiment->baseline.is_null();
    for (const Experiment& other : baseline.experiments)
      planned.stored.baselines.push_back(key_of(other));
    if (planned.stored.asked) planned.baselines = baseline.experiments;
  } catch (const InputError& error) {
    planned.experiment.reset();
    planned.error = error.what();
    planned.stored.key =
        fnv1a128(fmt::format("unreadable {} {}", version(), point.experiment.dump()));
  }
  return planned;
}

// Which results are there or on their way; shared by the threads.
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
  using Keys = std::unordered_set<ResultKey, KeyHash>;
  const Keys there_;
  std::mutex mutex_;
  Keys claimed_;
};

struct Done {
  StoredPoint point;
  std::vector<StoredResult> results;
  bool found = false;
};

// From the threads to the one that writes.
class Outbox {
 public:
  void put(Done done) {
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
  std::vector<Done> take(unsigned workers, bool& last) {
    std::unique_lock lock(mutex_);
    some_.wait_for(lock, kCommit, [&] { return waiting_.size() >= kBatch || ended_ == workers; });
    std::vector<Done> taken;
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
  std::vector<Done> waiting_;
  unsigned ended_ = 0;
  bool closed_ = false;
};

// A point is made of many small blocks that all go when it is done. What each thread gives back to the system it would
// get back at the next one, page by page, with the other threads stopped meanwhile: half a millisecond a point.
void keep_freed_memory() {
#ifdef M_TRIM_THRESHOLD
  constexpr int kKept = 64 << 20;  // bytes
  ::mallopt(M_TRIM_THRESHOLD, kKept);
  ::mallopt(M_MMAP_THRESHOLD, kKept);
#endif
}

class Sweep {
 public:
  Sweep(const Study& study, Store& store, const SweepSettings& settings)
      : study_(study),
        store_(store),
        settings_(settings),
        id_(store.begin(study)),
        claims_(store.keys()) {
    for (std::uint64_t number = settings.first; number < study.combinations(); ++number)
      if (wanted(number)) ++progress_.all;
    report();
  }

  SweepProgress run() {
    run_on_threads();
    run_in_processes();
    if (failure_) std::rethrow_exception(failure_);
    return progress_;
  }

 private:
  [[nodiscard]] bool wanted(std::uint64_t number) const {
    return number >= settings_.first && number % settings_.parts == settings_.part &&
           !study_.skipped(number);
  }
  void run_on_threads();
  void work();
  void run_point(Planned planned);
  StoredResult result_of(const ResultKey& key, const Experiment& experiment);
  void run_in_processes();
  bool keep_answer(const ResultKey& key, std::uint64_t number, bool of_point,
                   const std::function<Json()>& answer);
  void keep(std::vector<Done> done);
  void count(const Done& done);
  void failed(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
    stop_ = true;
  }
  void report() {
    if (settings_.progress) settings_.progress(progress_);
  }

  const Study& study_;
  Store& store_;
  const SweepSettings& settings_;
  const std::int64_t id_;
  Claims claims_;
  Outbox outbox_;
  std::atomic<std::uint64_t> next_ = settings_.first;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // of what follows
  std::exception_ptr failure_;
  std::vector<StoredPoint>
      for_processes_;       // the process that runs one reads it again: it would be large to keep
  SweepProgress progress_;  // of the writing thread, as is the rest
  std::optional<std::uint64_t> first_failed_;
  bool unwritable_ = false;
};

StoredResult Sweep::result_of(const ResultKey& key, const Experiment& experiment) {
  try {
    return stored_result(key, run_alone(experiment));
  } catch (const InputError& error) {
    return stored_error(key, error.what());
  }
}

void Sweep::run_point(Planned planned) {
  Done done{std::move(planned.stored), {}, false};
  if (!planned.experiment) {
    done.results.push_back(stored_error(done.point.key, planned.error));
  } else if (claims_.claim(done.point.key)) {
    done.results.push_back(result_of(done.point.key, *planned.experiment));
  } else {
    done.found = true;
  }
  for (const Experiment& baseline : planned.baselines)
    if (const ResultKey key = key_of(baseline); claims_.claim(key))
      done.results.push_back(result_of(key, baseline));
  outbox_.put(std::move(done));
}

void Sweep::work() {
  try {
    for (std::uint64_t number = 0; !stop_ && (number = next_++) < study_.combinations();) {
      if (!wanted(number)) continue;
      Planned planned = plan(study_, number);
      const bool to_run = planned.experiment && !claims_.was_there(planned.stored.key);
      if (to_run && needs_process(*planned.experiment)) {
        const std::lock_guard lock(mutex_);
        for_processes_.push_back(std::move(planned.stored));
      } else {
        run_point(std::move(planned));
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
    std::vector<Done> done = outbox_.take(workers, last);
    try {
      if (!unwritable_) keep(std::move(done));
    } catch (...) {  // the disk is full: what waits is lost, and made again
      unwritable_ = true;
      failed(std::current_exception());
      outbox_.close();
    }
  }
  for (std::thread& thread : threads) thread.join();
}

void Sweep::count(const Done& done) {
  ++progress_.done;
  if (done.found) ++progress_.found;
  for (const StoredResult& result : done.results) {
    if (result.error.empty()) ++progress_.simulations;
    if (result.error.empty() || result.key != done.point.key) continue;
    ++progress_.failed;
    if (first_failed_ && *first_failed_ < done.point.number) continue;
    first_failed_ = done.point.number;
    progress_.first_failure =
        fmt::format("{}: {}", fmt::join(study_.labels(done.point.number), ", "), result.error);
  }
}

void Sweep::keep(std::vector<Done> done) {
  if (done.empty()) return;
  std::vector<StoredPoint> points;
  std::vector<StoredResult> results;
  for (Done& one : done) {
    count(one);
    points.push_back(std::move(one.point));
    for (StoredResult& result : one.results) results.push_back(std::move(result));
  }
  store_.put(id_, study_, points, results);
  report();
}

// Of a process of its own. false: no more are to be started.
bool Sweep::keep_answer(const ResultKey& key, std::uint64_t number, bool of_point,
                        const std::function<Json()>& answer) {
  Done done{{number, key, {}, false}, {}, false};
  try {
    try {
      done.results.push_back(stored_result(key, result_from_json(answer(), study_.file)));
    } catch (const InputError& error) {
      done.results.push_back(stored_error(key, error.what()));
    }
    store_.put(id_, study_, {}, done.results);
    if (of_point)
      count(done);
    else
      ++progress_.simulations;
    report();
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
  std::vector<Done> found;
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
  keep(std::move(found));
  store_.put(id_, study_, for_processes_, {});
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  run_isolated(
      tasks.size(),
      [&](std::size_t i) {
        Planned planned = plan(study_, tasks[i].number);
        Experiment& experiment =
            tasks[i].which == 0 ? *planned.experiment : planned.baselines[tasks[i].which - 1];
        for (JobDescription& job :
             experiment.jobs)  // side by side, each with all cores, they would only disturb
          if (job.training && !job.training->threads)
            job.training->threads = std::max(1U, cores / std::max(1U, settings_.parallel));
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
