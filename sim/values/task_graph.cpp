#include "sim/values/task_graph.hpp"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::size_t kMostOpen = 512;
constexpr std::size_t kEnoughRoom = kMostOpen / 2;  // open tasks at which a blocked post() goes on

}  // namespace

// The threads are ours: asio's own pool waits for ever for those it has made when the next one
// cannot be.
class TaskGraph::Pool {
 public:
  explicit Pool(std::size_t count) : tasks_(count == 1 ? 1 : 0) {
    try {
      while (threads_.size() < count) threads_.emplace_back([this] { tasks_.run(); });
    } catch (const std::system_error& error) {
      const std::size_t made = threads_.size();
      join();
      throw InputError(fmt::format("{} threads for the values: the system makes {}: {}", count,
                                   made, error.code().message()));
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { join(); }

  template <class Work>
  void post(Work work) {
    boost::asio::post(tasks_, std::move(work));
  }

 private:
  void join() {
    open_.reset();  // no more work: run() returns
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  boost::asio::io_context tasks_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> open_{
      tasks_.get_executor()};
  std::vector<std::thread> threads_;
};

TaskGraph::TaskGraph(std::size_t threads)
    : threads_(threads),
      skipped_(std::make_shared<Task>()),
      pool_(threads > 0 ? std::make_unique<Pool>(threads) : nullptr) {
  skipped_->done_ = true;
}

TaskGraph::~TaskGraph() {
  drain();
}

void TaskGraph::drain() noexcept {
  if (!pool_) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return open_ == 0; });
}

TaskGraph::Ref TaskGraph::post(std::function<void()> work, std::vector<Ref> after) {
  if (observer_ != nullptr) observer_->posting();
  ++posted_;
  if (skipping_) return skipped_;
  auto task = std::make_shared<Task>();
  if (!pool_) {
    task->done_ = true;
    work();
    return task;
  }
  task->work_ = std::move(work);
  {
    std::unique_lock lock(mutex_);
    if (open_ >= kMostOpen) changed_.wait(lock, [this] { return open_ <= kEnoughRoom; });
    if (failure_) std::rethrow_exception(failure_);
    ++open_;
    for (const Ref& before : after) {
      if (!before || before->done_) continue;
      before->successors_.push_back(task);
      ++task->missing_;
    }
    if (task->missing_ > 0) return task;
  }
  pool_->post([this, task] { run(task); });
  return task;
}

void TaskGraph::run(Ref task) {
  // One that has become ready goes on at once on this thread: mostly the same worker's next, whose
  // memory is in this core's cache.
  while (task) {
    work_on(*task);
    std::vector<Ref> ready = finish(*task);
    task = nullptr;
    for (Ref& next : ready) {
      if (!task)
        task = std::move(next);
      else
        pool_->post([this, next = std::move(next)] { run(next); });
    }
  }
}

void TaskGraph::work_on(Task& task) {
  bool failed = false;
  {
    const std::scoped_lock lock(mutex_);
    failed = failure_ != nullptr;  // after a failure the rest is only counted down
  }
  if (!failed) {
    try {
      task.work_();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }
  task.work_ = nullptr;
}

std::vector<TaskGraph::Ref> TaskGraph::finish(Task& task) {
  std::vector<Ref> ready;
  const std::scoped_lock lock(mutex_);
  task.done_ = true;
  for (Ref& successor : task.successors_)
    if (--successor->missing_ == 0) ready.push_back(std::move(successor));
  task.successors_.clear();
  --open_;
  // Nobody waits for anything else, and to wake the clock's thread costs more than a small task.
  if (&task == awaited_ || open_ == kEnoughRoom || open_ == 0) changed_.notify_all();
  return ready;
}

double TaskGraph::take(const Ref& task, const std::function<double()>& read) {
  if (skipping_) return state_.repeat();
  wait(task);
  const double scalar = read();
  state_.note(scalar);
  return scalar;
}

void TaskGraph::wait(const Ref& task) {
  if (!task || !pool_) return;
  std::unique_lock lock(mutex_);
  awaited_ = task.get();
  changed_.wait(lock, [&] { return task->done_; });
  awaited_ = nullptr;
  if (failure_) std::rethrow_exception(failure_);
}

void TaskGraph::wait_all() {
  if (!pool_) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return open_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

TaskGraph::Ref Strand::post(std::function<void()> work, std::vector<TaskGraph::Ref> after) {
  after.push_back(last_);
  for (TaskGraph::Ref& held : held_) after.push_back(std::move(held));
  held_.clear();
  last_ = graph_->post(std::move(work), std::move(after));
  return last_;
}

}  // namespace paceline
