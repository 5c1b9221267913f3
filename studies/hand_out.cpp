#include "studies/hand_out.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>

#include "base/error.hpp"
#include "base/isolated_beside.hpp"
#include "experiments/run.hpp"
#include "studies/keeper.hpp"

namespace paceline {
namespace {

using HostClock = std::chrono::steady_clock;

constexpr std::size_t kTransaction = 512;   // points, at most about
constexpr double kKeepEvery_s = 0.2;        // what an end by force may cost
constexpr double kTask_s = 0.05;            // how long a task should take
constexpr std::uint64_t kMostInTask = 256;  // numbers
constexpr unsigned kAhead = 2;              // tasks a worker has: one to do, and one to go on with

double seconds_since(HostClock::time_point start) {
  return std::chrono::duration<double>(HostClock::now() - start).count();
}

// One point after another in this process, or in a child of it what needs one. `meanwhile` is called while a child runs.
class Maker {
 public:
  Maker(const Study& study, const std::vector<ResultKey>& there, unsigned side_by_side,
        std::function<void()> meanwhile)
      : study_(study),
        claims_(there),
        side_by_side_(side_by_side),
        meanwhile_(std::move(meanwhile)) {
    keep_freed_memory();
  }

  MadePoint make(std::uint64_t number) {
    return made_point(plan_point(study_, number), claims_,
                      [this](const Experiment& experiment) { return run(experiment); });
  }
  Claims& claims() { return claims_; }

 private:
  RunResult run(const Experiment& experiment) {
    if (!needs_process(experiment)) return run_alone(experiment);
    Experiment shared = experiment;
    share_cores(shared, side_by_side_);
    return result_from_json(
        run_isolated_beside([&] { return to_json(run_alone(shared)); }, meanwhile_), study_.file);
  }

  const Study& study_;
  Claims claims_;
  unsigned side_by_side_;
  std::function<void()> meanwhile_;
};

// "number number": of the first point, and of the one behind the last.
std::string task_text(std::uint64_t first, std::uint64_t end) {
  return fmt::format("{} {}", first, end);
}

std::pair<std::uint64_t, std::uint64_t> task_from(const std::string& text) {
  std::uint64_t first = 0, end = 0;
  const char* const last = text.data() + text.size();
  const char* const space = std::from_chars(text.data(), last, first).ptr;
  if (space != last) std::from_chars(space + 1, last, end);
  return {first, end};
}

class HandOut {
 public:
  HandOut(Workers& workers, const Study& study, Store& store, const SweepSettings& settings)
      : workers_(workers),
        study_(study),
        keeper_(study, store, settings),
        maker_(study, store.keys(), static_cast<unsigned>(workers.count() + 1),
               [this] { serve(); }),
        next_(settings.first),
        given_(workers.count()) {
    const std::string there = packed(store.keys());
    for (std::size_t worker = 0; worker < workers.count(); ++worker) {
      workers.give(worker, there);
      for (unsigned i = 0; i < kAhead; ++i) give(worker, 1);
    }
  }

  SweepProgress run() {
    for (;;) {
      serve();
      skip();
      if (more())
        make_one_here();
      else if (open_ > 0)
        workers_.rest();
      else
        break;
    }
    for (std::size_t worker = 0; worker < workers_.count(); ++worker) workers_.give(worker, "");
    keep();
    if (failure_) std::rethrow_exception(failure_);
    return keeper_.progress();
  }

 private:
  [[nodiscard]] bool more() const { return !failure_ && next_ < study_.combinations(); }
  void skip() {
    while (next_ < study_.combinations() && !keeper_.wanted(next_)) ++next_;
  }

  void give(std::size_t worker, std::uint64_t most) {
    skip();
    if (!more()) return;
    // Towards the end in smaller pieces, so that all end together.
    const std::uint64_t left = study_.combinations() - next_,
                        share = left / (2 * kAhead * (workers_.count() + 1)) + 1;
    const std::uint64_t first = next_;
    next_ += std::min({most, share, left});
    workers_.give(worker, task_text(first, next_));
    given_[worker].push_back(next_ - first);
    ++open_;
  }

  void serve() {
    while (std::optional<Workers::Answer> answer = workers_.answer()) {
      const std::size_t worker = answer->worker;
      MadePoints made = unpacked(answer->text);
      --open_;
      const std::uint64_t did = given_[worker].front();
      given_[worker].erase(given_[worker].begin());
      if (!made.failed.empty() && !failure_)
        failure_ = std::make_exception_ptr(CheckFailed(made.failed));
      for (MadePoint& point : made.points) take(std::move(point));
      const double each_s = std::max(made.seconds / static_cast<double>(did), 1e-9);
      give(worker, static_cast<std::uint64_t>(
                       std::clamp(kTask_s / each_s, 1.0, static_cast<double>(kMostInTask))));
    }
    if (waiting_.size() >= kTransaction || seconds_since(kept_) > kKeepEvery_s) keep();
  }

  // Two may have made the same at the same time: the first counts.
  void take(MadePoint made) {
    std::erase_if(made.results, [&](const StoredResult& result) {
      const bool there = !maker_.claims().claim(result.key);
      if (there && result.key == made.point.key) made.found = true;
      return there;
    });
    waiting_.push_back(std::move(made));
  }

  void make_one_here() {
    try {
      waiting_.push_back(maker_.make(next_++));
    } catch (const CheckFailed&) {
      failure_ = std::current_exception();
    }
  }

  void keep() {
    kept_ = HostClock::now();
    std::vector<MadePoint> made;
    made.swap(waiting_);
    keeper_.keep(std::move(made));
  }

  Workers& workers_;
  const Study& study_;
  Keeper keeper_;
  Maker maker_;
  std::uint64_t next_;
  std::vector<std::vector<std::uint64_t>> given_;  // how many numbers, of each task of a worker
  std::size_t open_ = 0;                           // tasks
  std::vector<MadePoint> waiting_;                 // to be kept
  HostClock::time_point kept_ = HostClock::now();
  std::exception_ptr failure_;
};

}  // namespace

SweepProgress sweep_with(Workers& workers, const Study& study, Store& store,
                         const SweepSettings& settings) {
  return HandOut(workers, study, store, settings).run();
}

void make_points_for(const Study& study, unsigned side_by_side,
                     const std::function<std::string()>& task,
                     const std::function<void(const std::string&)>& answer) {
  Maker maker(study, unpacked_keys(task()), side_by_side, {});
  for (std::string text = task(); !text.empty(); text = task()) {
    MadePoints made;
    const HostClock::time_point start = HostClock::now();
    try {
      const auto [first, end] = task_from(text);
      for (std::uint64_t number = first; number < end; ++number)
        if (!study.skipped(number)) made.points.push_back(maker.make(number));
    } catch (const CheckFailed& error) {
      made.failed = error.what();
    }
    made.seconds = seconds_since(start);
    answer(packed(made));
  }
}

}  // namespace paceline
